using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The model of a crashing machine itself: what was synced always survives, what was not is sometimes lost, each kind of it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class CrashFileSystemTests : IDisposable
{
    private const int Seeds = 64;
    private const int PageBytes = 4096;
    private const int InputOutputError = 5;

    private readonly TempDirectory _temp = new();

    private string Root => _temp.File("files");

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData(32)]
    public async Task What_was_synced_always_survives(int pages)
    {
        await using var files = await CrashFileSystem.MountAsync(Root);
        for (int seed = 0; seed < Seeds; seed++)
        {
            string directory = NewDirectory(seed);
            byte[] content = new TestDump(pages * PageBytes - 17, seed).Content;
            string file = Path.Combine(directory, "draft");
            WritePages(file, content);
            Assert.Equal(0, CrashFileSystem.Sync(file));
            File.Move(file, Path.Combine(directory, "file"));
            File.CreateSymbolicLink(Path.Combine(directory, "link"), "file");
            Assert.Equal(0, CrashFileSystem.Sync(directory));

            await RebootAsync(files, seed);

            Assert.Equal(["file", "link"], NamesIn(directory));
            Assert.Equal(content, File.ReadAllBytes(Path.Combine(directory, "link")));
        }
    }

    [FuseTheory]
    [InlineData(16)]
    public async Task Data_that_was_not_synced_survives_in_any_subset(int pages)
    {
        bool noneWasLost = false, allWasLost = false, onlySomeWasLost = false, laterSurvivedEarlier = false, fileWasShorter = false;
        await using var files = await CrashFileSystem.MountAsync(Root);
        for (int seed = 0; seed < Seeds; seed++)
        {
            string directory = NewDirectory(seed);
            byte[] content = new TestDump(pages * PageBytes, seed).Content;
            string file = Path.Combine(directory, "file");
            File.WriteAllBytes(file, []);
            Assert.Equal(0, CrashFileSystem.Sync(directory));
            WritePages(file, content);

            await RebootAsync(files, seed);

            byte[] left = File.ReadAllBytes(file);
            bool[] survived = [.. Enumerable.Range(0, pages).Select(page => IsSame(left, content, page))];
            noneWasLost |= survived.All(page => page);
            allWasLost |= !survived.Any(page => page);
            onlySomeWasLost |= survived.Distinct().Count() == 2;
            laterSurvivedEarlier |= survived.Zip(survived.Skip(1)).Any(pair => !pair.First && pair.Second);
            fileWasShorter |= left.Length < content.Length;
            Assert.True(left.Length <= content.Length);
        }

        Assert.Equal((true, true, true, true, true), (noneWasLost, allWasLost, onlySomeWasLost, laterSurvivedEarlier, fileWasShorter));
    }

    [FuseTheory]
    [InlineData(8)]
    public async Task An_overwritten_page_is_the_synced_one_or_one_written_since(int overwrites)
    {
        var survived = new HashSet<byte>();
        await using var files = await CrashFileSystem.MountAsync(Root);
        for (int seed = 0; seed < Seeds; seed++)
        {
            string directory = NewDirectory(seed);
            string file = Path.Combine(directory, "file");
            File.WriteAllBytes(file, [0]);
            Assert.Equal(0, CrashFileSystem.Sync(file));
            Assert.Equal(0, CrashFileSystem.Sync(directory));
            using (var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write))
            {
                for (int i = 1; i <= overwrites; i++)
                    RandomAccess.Write(handle, [(byte)i], 0);
            }

            await RebootAsync(files, seed);

            survived.Add(Assert.Single(File.ReadAllBytes(file)));
        }

        Assert.All(survived, value => Assert.InRange(value, 0, overwrites));
        Assert.Contains((byte)0, survived);
        Assert.Contains((byte)overwrites, survived);
        Assert.Contains(survived, value => value > 0 && value < overwrites);
    }

    [FuseTheory]
    [InlineData("create")]
    [InlineData("rename")]
    [InlineData("link")]
    [InlineData("symlink")]
    [InlineData("unlink")]
    public async Task A_name_changes_for_good_when_its_directory_is_synced_and_only_then(string change)
    {
        var seen = new HashSet<string>();
        string before = change == "create" ? "" : "old";
        string after = change switch { "create" => "new", "rename" => "new", "unlink" => "", _ => "new old" };
        await using var files = await CrashFileSystem.MountAsync(Root);
        for (int seed = 0; seed < Seeds; seed++)
        {
            string directory = NewDirectory(seed);
            string old = Path.Combine(directory, "old"), changed = Path.Combine(directory, "new");
            if (before.Length > 0)
                File.WriteAllText(old, "content");
            if (before.Length > 0)
                Assert.Equal(0, CrashFileSystem.Sync(old));
            Assert.Equal(0, CrashFileSystem.Sync(directory));
            switch (change)
            {
                case "create": File.WriteAllText(changed, "content"); break;
                case "rename": File.Move(old, changed); break;
                case "link": (await CommandResult.RunAsync("ln", [old, changed])).Expect(0); break;
                case "symlink": File.CreateSymbolicLink(changed, "old"); break;
                default: File.Delete(old); break;
            }

            // A synced file does not make its names durable.
            if (change is "create" or "link")
                Assert.Equal(0, CrashFileSystem.Sync(changed));

            await RebootAsync(files, seed);

            string names = string.Join(' ', NamesIn(directory));
            seen.Add(names);
            if (names.Length > 0)
                Assert.Equal("content", File.ReadAllText(Path.Combine(directory, names.Split(' ')[0] == "new" ? "new" : "old")));
        }

        Assert.Equal(new[] { before, after }.Order(), seen.Order());
    }

    [FuseTheory]
    [InlineData(16)]
    public async Task What_an_fsync_failed_to_store_is_lost_although_a_later_one_succeeds(int pages)
    {
        bool wasLost = false;
        await using var files = await CrashFileSystem.MountAsync(Root);
        for (int seed = 0; seed < Seeds; seed++)
        {
            string directory = NewDirectory(seed);
            string file = Path.Combine(directory, "file");
            byte[] content = new TestDump(pages * PageBytes, seed).Content;
            WritePages(file, content);
            Assert.Equal(0, CrashFileSystem.Sync(directory));
            await files.TellAsync("fail fsync EIO once");
            Assert.Equal(InputOutputError, CrashFileSystem.Sync(file));
            Assert.Equal(0, CrashFileSystem.Sync(file));
            Assert.Equal(content, File.ReadAllBytes(file));

            await RebootAsync(files, seed);

            Assert.Empty(File.ReadAllBytes(file));
            wasLost = true;
        }

        Assert.True(wasLost);
    }

    [FuseTheory]
    [InlineData(7)]
    public async Task The_same_seed_loses_the_same(int seed)
    {
        var left = new List<string>();
        for (int run = 0; run < 2; run++)
        {
            string root = _temp.File($"run{run}");
            await using var files = await CrashFileSystem.MountAsync(root);
            for (int file = 0; file < 8; file++)
                WritePages(Path.Combine(root, $"{file}"), new TestDump(16 * PageBytes, file).Content);
            await RebootAsync(files, seed);
            left.Add(string.Join('\n', NamesIn(root).Select(name => $"{name} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(root, name))))}")));
        }

        Assert.Equal(left[0], left[1]);
    }

    [FuseTheory]
    [InlineData("fail write ENOSPC after 5000", 5000)]
    [InlineData("fail write EIO", 0)]
    [InlineData("read-only", 0)]
    public async Task Writes_fail_where_told(string command, int bytes)
    {
        await using var files = await CrashFileSystem.MountAsync(Root);
        string file = Path.Combine(Root, "file");
        File.WriteAllBytes(file, []);
        using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write);
        await files.TellAsync(command);

        Assert.Throws<IOException>(() => RandomAccess.Write(handle, new byte[10_000], 0));
        Assert.Equal(bytes, new FileInfo(file).Length);
        await files.RecoverAsync();
        RandomAccess.Write(handle, new byte[10_000], 0);
        Assert.Equal(10_000, new FileInfo(file).Length);
    }

    [FuseTheory]
    [InlineData(3)]
    public async Task A_crash_can_be_ordered_for_a_later_call_and_until_then_nothing_is_lost(int seed)
    {
        await using var files = await CrashFileSystem.MountAsync(Root);
        string file = Path.Combine(Root, "file");
        File.WriteAllBytes(file, []);
        using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write);
        Assert.Equal(0, CrashFileSystem.Sync(Root));
        await files.TellAsync($"crash {seed} after 3");
        RandomAccess.Write(handle, [1], 0);
        RandomAccess.FlushToDisk(handle);
        Assert.False(await files.HasCrashedAsync());
        Assert.Throws<IOException>(() => RandomAccess.Write(handle, [2], 1));
        await files.CrashedAsync();
        Assert.Throws<IOException>(() => File.ReadAllBytes(file));
        await files.UpAsync();
        Assert.Equal([1], File.ReadAllBytes(file));
        // What was opened before the crash stays dead.
        Assert.Throws<IOException>(() => RandomAccess.Write(handle, [2], 1));
    }

    private static bool IsSame(byte[] left, byte[] content, int page) =>
        left.Length >= (page + 1) * PageBytes && left.AsSpan(page * PageBytes, PageBytes).SequenceEqual(content.AsSpan(page * PageBytes, PageBytes));

    private static void WritePages(string path, byte[] content)
    {
        using var handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write);
        for (int at = 0; at < content.Length; at += PageBytes)
            RandomAccess.Write(handle, content.AsSpan(at, Math.Min(PageBytes, content.Length - at)), at);
    }

    private static string[] NamesIn(string directory) => [.. Directory.EnumerateFileSystemEntries(directory).Select(path => Path.GetFileName(path)).Order()];

    private static async Task RebootAsync(CrashFileSystem files, int seed)
    {
        await files.CrashAsync(seed);
        await files.UpAsync();
    }

    private string NewDirectory(int seed)
    {
        string directory = Path.Combine(Root, $"{seed}");
        Directory.CreateDirectory(directory);
        Assert.Equal(0, CrashFileSystem.Sync(Root));
        return directory;
    }
}
