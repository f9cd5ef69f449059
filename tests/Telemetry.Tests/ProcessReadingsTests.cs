namespace NetdumpCollector.Telemetry.Tests;

public sealed class ProcessReadingsTests
{
    [Fact]
    public void Open_descriptors_are_counted_as_proc_lists_them_and_not_known_without_it()
    {
        if (!Directory.Exists("/proc/self/fd"))
        {
            Assert.Null(ProcessReadings.OpenDescriptors);
            return;
        }

        const int Opened = 500, OthersMostly = 100;
        long before = ProcessReadings.OpenDescriptors!.Value;
        var files = Enumerable.Range(0, Opened).Select(_ => File.OpenHandle("/dev/null")).ToArray();
        try
        {
            long listed = Directory.EnumerateFileSystemEntries("/proc/self/fd").LongCount();
            Assert.InRange(ProcessReadings.OpenDescriptors!.Value - before, Opened - OthersMostly, Opened + OthersMostly);
            Assert.InRange(ProcessReadings.OpenDescriptors!.Value - listed, -OthersMostly, OthersMostly);
        }
        finally
        {
            foreach (var file in files)
                file.Dispose();
        }
    }
}
