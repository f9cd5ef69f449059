using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The commit of one dump, call by call, on a file system that fails and crashes.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DurabilityTests : IDisposable
{
    private static readonly TestDump s_dump = new(100_001);
    private static readonly DumpEndpoint s_endpoint = new(Ipv4.Loopback, 20100, 0, 20024, HeraldSeqno: 1);

    private readonly TempDirectory _temp = new();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData(300)]
    public async Task Pages_that_a_checkpoint_is_told_to_be_lost_are_lost_to_the_commit_beside_it(int milliseconds)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        using var directory = DumpDirectory.Open(Dumps, null);
        using var file = Receive(directory);
        await files.TellAsync("fail fsync EIO once");
        await files.TellAsync($"delay {milliseconds}");
        bool vouched = true;
        Exception? failure = null;
        var checkpoint = new Thread(() => vouched = Checkpoint(file)) { Name = "checkpoint" };
        var commit = new Thread(() => failure = Record.Exception(() => Commit(directory, file)));
        checkpoint.Start();
        // In the fsync that is going to fail.
        await Eventually.Holds(() => IsInFileSystem("checkpoint"), "the checkpoint waits for its fsync");
        commit.Start();
        checkpoint.Join();
        commit.Join();

        Assert.False(vouched);
        Assert.Contains("not durable, fsync failed", Assert.IsType<StorageException>(failure).Message, StringComparison.Ordinal);
        Assert.Equal(DumpStatus.Incomplete, Assert.Single(DumpCatalog.Read(Dumps).Dumps).Manifest.Status);
    }

    [FuseTheory]
    [InlineData(72)]
    public async Task A_crash_in_mid_commit_leaves_no_data_that_nothing_tells_of(int seeds)
    {
        const int CallsOfACommit = 24;
        bool wasInterrupted = false, wasDescribed = false;
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        for (int seed = 0; seed < seeds; seed++)
        {
            string root = Path.Combine(Dumps, $"{seed}");
            Directory.CreateDirectory(root);
            Assert.Equal(0, CrashFileSystem.Sync(Dumps));
            using (var directory = DumpDirectory.Open(root, null))
            {
                using var file = Receive(directory);
                Assert.True(Checkpoint(file));
                await files.TellAsync($"crash {seed} after {1 + seed % CallsOfACommit}");
                _ = Record.Exception(() => Commit(directory, file));
                await files.TellAsync($"crash {seed}");
                await files.CrashedAsync();
            }

            await files.UpAsync();
            using var next = DumpDirectory.Open(root, null);
            var problems = new List<string>();
            var interrupted = next.TakeOver(root, problems.Add);
            Assert.True(problems.Count == 0, $"seed {seed}: {string.Join('\n', problems)}\n{string.Join('\n', Directory.GetFiles(root))}");
            int described = DumpCatalog.Read(root).Dumps.Count;
            Assert.True(interrupted.Count + described > 0, $"seed {seed}: {string.Join('\n', Directory.GetFiles(root))}");
            wasInterrupted |= interrupted.Count == 1 && described == 0;
            wasDescribed |= described == 1;
            foreach (var dump in interrupted)
                dump.File.Dispose();
        }

        Assert.Equal((true, true), (wasInterrupted, wasDescribed));
    }

    private static DumpFile Receive(DumpDirectory directory)
    {
        var file = directory.Create(new(DumpId.New(DateTimeOffset.UnixEpoch), Ipv4.Loopback, DateTimeOffset.UnixEpoch), s_endpoint, null);
        File.WriteAllBytes(file.PartialPath, s_dump.Content);
        return file;
    }

    private static bool Checkpoint(DumpFile file) => file.Checkpoint(new byte[DumpSession.StateBytes], []);

    private static void Commit(DumpDirectory directory, DumpFile file) => directory.Commit(
        file,
        new()
        {
            Status = DumpStatus.Complete,
            Reason = EndReason.Finished,
            Header = KernelDumpHeader.Read(s_dump.Header),
            LengthBytes = (ulong)s_dump.Content.Length,
            CoveredBytes = (ulong)s_dump.Content.Length,
            Missing = [],
            MissingBytes = 0,
            MissingRanges = 0,
            Damaged = [],
            Overwritten = [],
            Relocated = false,
            PayloadBytes = TestDump.PayloadBytes,
            Counters = new(),
        },
        new() { Host = "web", Endpoint = "ephemeral", LocalAddress = Ipv4.Loopback, LocalPort = 20100, EndedAt = DateTimeOffset.UnixEpoch, Duration = TimeSpan.Zero });

    /// <summary>The thread of this process that has this name waits for a FUSE file system's answer.</summary>
    private static bool IsInFileSystem(string thread) => Directory.GetDirectories("/proc/self/task")
        .Any(task => File.ReadAllText($"{task}/comm").TrimEnd() == thread && File.ReadAllText($"{task}/wchan") == "request_wait_answer");
}
