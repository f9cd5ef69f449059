using System.Diagnostics;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>The model of a network file system itself: the others see what was synced and nothing else, and names at once.</summary>
/// <remarks>Alone, because a process that another test starts has this one's files open for a moment, and the model tells a close.</remarks>
[UnsupportedOSPlatform("windows")]
[Collection(AloneTests.Name)]
public sealed class NodeFileSystemTests(ITestOutputHelper output) : IDisposable
{
    private const int PageBytes = 4096;

    private readonly TempDirectory _temp = new();

    private string Store => _temp.File("store");

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_others_see_what_was_synced_and_the_writer_everything(bool closeFlushes)
    {
        await using var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"), closeFlushes ? ["--close-flush"] : []);
        await using var b = await NodeFileSystem.MountAsync(Store, _temp.File("b"));
        string mine = _temp.File("a/file"), theirs = _temp.File("b/file");
        byte[] content = new TestDump(100_001).Content;
        using (var file = File.OpenHandle(mine, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            RandomAccess.Write(file, content.AsSpan(0, 60_000), 0);
            Assert.Equal(content[..60_000], File.ReadAllBytes(mine));
            Assert.Empty(File.ReadAllBytes(theirs));

            Assert.Equal(0, CrashFileSystem.Sync(mine));
            Assert.Equal(content[..60_000], File.ReadAllBytes(theirs));

            // Over what is stored, into the middle of it and behind it.
            RandomAccess.Write(file, content.AsSpan(50_000, 20_000), 10_000);
            RandomAccess.Write(file, content.AsSpan(0, 10), 70_000);
            Assert.Equal(content[..60_000], File.ReadAllBytes(theirs));
            Assert.Equal([.. content[..10_000], .. content[50_000..70_000], .. content[30_000..60_000], .. new byte[10_000], .. content[..10]], File.ReadAllBytes(mine));
        }

        Assert.Equal(closeFlushes ? 70_010 : 60_000, new FileInfo(theirs).Length);
        // Opened anew it is still what the writer wrote.
        Assert.Equal(70_010, new FileInfo(mine).Length);
        using (var file = File.OpenHandle(mine, FileMode.Open, FileAccess.Write))
            RandomAccess.SetLength(file, 40_000);
        Assert.Equal(40_000, new FileInfo(theirs).Length);
        Assert.Equal(content[50_000..70_000], File.ReadAllBytes(mine)[10_000..30_000]);
    }

    [FuseTheory]
    [InlineData(0)]
    [InlineData(40)]
    public async Task A_node_that_dies_loses_what_was_not_synced_and_nothing_else(int writeback)
    {
        const int Pages = 64;
        byte[] content = new TestDump(Pages * PageBytes).Content;
        string file = _temp.File("a/file"), names = _temp.File("a/names");
        await using (var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"), "--writeback", $"{writeback}", "--seed", "5"))
        {
            Directory.CreateDirectory(names);
            using var handle = File.OpenHandle(file, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite);
            RandomAccess.Write(handle, content.AsSpan(0, Pages / 2 * PageBytes), 0);
            Assert.Equal(0, CrashFileSystem.Sync(file));
            RandomAccess.Write(handle, content.AsSpan(Pages / 2 * PageBytes), Pages / 2 * PageBytes);
            Assert.Equal(content, File.ReadAllBytes(file));
            await a.KillAsync();
        }

        byte[] left = File.ReadAllBytes(Path.Combine(Store, "file"));
        Assert.True(Directory.Exists(Path.Combine(Store, "names")));
        Assert.Equal(content[..(Pages / 2 * PageBytes)], left[..(Pages / 2 * PageBytes)]);
        Assert.InRange(left.Length, Pages / 2 * PageBytes, content.Length);
        bool[] arrived = [.. Enumerable.Range(Pages / 2, Pages / 2).Select(page => left.Length > page * PageBytes && left.AsSpan(page * PageBytes, PageBytes).SequenceEqual(content.AsSpan(page * PageBytes, PageBytes)))];
        Assert.Equal(writeback > 0, arrived.Contains(true));
        Assert.Contains(false, arrived);
        // Some page came before one that was written earlier: a hole.
        Assert.Equal(writeback > 0, arrived.Zip(arrived.Skip(1)).Contains((false, true)));
        await using var again = await NodeFileSystem.MountAsync(Store, _temp.File("a"));
        Assert.Equal(left, File.ReadAllBytes(file));
    }

    [FuseTheory]
    [InlineData(0, "directory linked new renamed symbolic")]
    [InlineData(100, "directory old")]
    public async Task Names_whose_directory_was_not_synced_go_with_their_node_where_told(int percent, string left)
    {
        await using (var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"), "--volatile-names", $"{percent}"))
        {
            Directory.CreateDirectory(_temp.File("a/directory"));
            File.WriteAllText(_temp.File("a/old"), "");
            Assert.Equal(0, CrashFileSystem.Sync(_temp.File("a")));
            File.WriteAllText(_temp.File("a/new"), "");
            // Syncs neither the file's name nor those in another directory.
            Assert.Equal(0, CrashFileSystem.Sync(_temp.File("a/new")));
            Assert.Equal(0, CrashFileSystem.Sync(_temp.File("a/directory")));
            (await CommandResult.RunAsync("ln", [_temp.File("a/old"), _temp.File("a/linked")])).Expect(0);
            File.CreateSymbolicLink(_temp.File("a/symbolic"), "old");
            File.Move(_temp.File("a/old"), _temp.File("a/renamed"));
            await a.KillAsync();
        }

        Assert.Equal(left.Split(' '), Directory.GetFileSystemEntries(Store).Select(Path.GetFileName).Order());
    }

    [FuseTheory]
    [InlineData(400)]
    public async Task One_of_two_nodes_makes_a_name_and_the_other_sees_it_at_once(int names)
    {
        await using var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"));
        await using var b = await NodeFileSystem.MountAsync(Store, _temp.File("b"));
        File.WriteAllText(_temp.File("a/draft"), "");

        int[] won = await Task.WhenAll(((string[])["a", "b"]).Select(node => Task.Run(() => Enumerable.Range(0, names).Count(name => TryCreate(_temp.File($"{node}/{name}"))))));

        Assert.Equal(names, won.Sum());
        File.Move(_temp.File("a/draft"), _temp.File("a/final"));
        Assert.True(File.Exists(_temp.File("b/final")));
        Assert.False(File.Exists(_temp.File("b/draft")));
        Assert.Throws<IOException>(() => File.Move(_temp.File("b/0"), _temp.File("b/final")));
        File.CreateSymbolicLink(_temp.File("b/link"), "final");
        Assert.Equal("final", new FileInfo(_temp.File("a/link")).LinkTarget);
        (await CommandResult.RunAsync("ln", [_temp.File("a/final"), _temp.File("a/second")])).Expect(0);
        Assert.NotEqual(0, (await CommandResult.RunAsync("ln", [_temp.File("b/0"), _temp.File("b/second")])).ExitCode);
        File.Delete(_temp.File("b/final"));
        Assert.False(File.Exists(_temp.File("a/final")));
    }

    [FuseTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Locks_hold_against_other_nodes_where_told(bool shared)
    {
        string[] options = shared ? ["--shared-locks"] : [];
        await using var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"), options);
        await using var b = await NodeFileSystem.MountAsync(Store, _temp.File("b"), options);
        File.WriteAllText(_temp.File("a/file"), "");

        // FileShare.None takes a flock on Linux.
        using var held = File.OpenHandle(_temp.File("a/file"), FileMode.Open, FileAccess.ReadWrite, FileShare.None);

        Assert.Throws<IOException>(() => File.OpenHandle(_temp.File("a/file"), FileMode.Open, FileAccess.ReadWrite, FileShare.None));
        if (shared)
            Assert.Throws<IOException>(() => File.OpenHandle(_temp.File("b/file"), FileMode.Open, FileAccess.ReadWrite, FileShare.None));
        else
            File.OpenHandle(_temp.File("b/file"), FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
    }

    /// <summary>Otherwise the tests of takeover would measure it.</summary>
    [FuseTheory]
    [InlineData(512)]
    public async Task Bursts_that_are_synced_one_by_one_pass_fast(int bursts)
    {
        const int BurstBytes = 65536, LeastBytesPerSecond = 30_000_000;
        await using var a = await NodeFileSystem.MountAsync(Store, _temp.File("a"));
        using var file = File.OpenHandle(_temp.File("a/file"), FileMode.CreateNew, FileAccess.ReadWrite);
        byte[] burst = new TestDump(BurstBytes).Content;

        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < bursts; i++)
        {
            RandomAccess.Write(file, burst, (long)i * BurstBytes);
            RandomAccess.FlushToDisk(file);
        }

        double rate = (double)bursts * BurstBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
        output.WriteLine($"{rate / 1e6:F0} MB/s");
        Assert.Equal((long)bursts * BurstBytes, new FileInfo(Path.Combine(Store, "file")).Length);
        Assert.InRange(rate, LeastBytesPerSecond, double.MaxValue);
    }

    private static bool TryCreate(string path)
    {
        try
        {
            File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write).Dispose();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
