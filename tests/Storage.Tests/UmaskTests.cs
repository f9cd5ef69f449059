using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage.Tests;

/// <summary>Alone, because the umask is the whole process's.</summary>
[CollectionDefinition(nameof(UmaskTests), DisableParallelization = true)]
[Collection(nameof(UmaskTests))]
public sealed partial class UmaskTests
{
    [Theory]
    [InlineData(0x00)]
    [InlineData(0x1ff)] // 0777
    public void Modes_do_not_depend_on_it(uint mask)
    {
        using var temp = new TempDirectory();
        using var directory = DumpDirectory.Open(temp.Path, null);
        uint before = umask(mask);
        try
        {
            using var file = Dumps.Receive(directory, Dumps.Pattern(10));
            directory.Commit(file, Dumps.Complete(10, Dumps.Header(10, keySize: 512)) with { Key = Dumps.Pattern(512) }, Dumps.Circumstances("web"));
        }
        finally
        {
            _ = umask(before);
        }

        foreach (string name in (string[])["vmcore_encrypted.web.0", "info.web.0", "dump.web.0.json", "bounds.web"])
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(temp.File(name)));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(temp.File("key.web.0")));
    }

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
