using System.Globalization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;
using Step = NetdumpCollector.Storage.DumpRemoval.Step;

namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class DumpRemovalTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(DumpCompression.None, false)]
    [InlineData(DumpCompression.Gzip, true)]
    [InlineData(DumpCompression.Zstd, true)]
    public void Nothing_of_a_deleted_dump_is_left_and_nothing_else_is_touched(DumpCompression compression, bool hasKey)
    {
        StoredDumps.Write(_temp.Path, "web", 0);
        string[] before = _temp.Names;
        File.WriteAllText(_temp.File("bounds.web"), "2\n");
        var dump = StoredDumps.Write(_temp.Path, "web", 1, hasKey: hasKey, compression: compression);

        Assert.True(DumpRemoval.Remove(dump));

        Assert.Equal([.. before.Append("bounds.web").Order(StringComparer.Ordinal)], _temp.Names);
        Assert.Equal("2\n", _temp.Text("bounds.web"));
        Assert.False(DumpRemoval.Remove(dump));
    }

    [Fact]
    public void Links_move_to_the_newest_one_left_of_the_same_host_and_go_with_the_last()
    {
        CatalogedDump[] dumps = [.. ((long[])[0, 9, 10]).Select(index => StoredDumps.Write(_temp.Path, "web", index, compression: index == 9 ? DumpCompression.Gzip : DumpCompression.None))];
        StoredDumps.Write(_temp.Path, "web.7", 77);

        DumpRemoval.Remove(dumps[2]);
        Assert.Equal(("vmcore.web.9.gz", "info.web.9"), Links("web"));
        DumpRemoval.Remove(dumps[0]);
        Assert.Equal(("vmcore.web.9.gz", "info.web.9"), Links("web"));
        DumpRemoval.Remove(dumps[1]);
        Assert.Equal((null, null), Links("web"));
        Assert.Equal(("vmcore.web.7.77", "info.web.7.77"), Links("web.7"));
    }

    [Fact]
    public void A_file_that_has_the_name_of_a_link_stays()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        File.Delete(_temp.File("vmcore.web.last"));
        File.WriteAllText(_temp.File("vmcore.web.last"), "precious");

        DumpRemoval.Remove(dump);

        Assert.Equal(["vmcore.web.last"], _temp.Names);
        Assert.Equal("precious", _temp.Text("vmcore.web.last"));
    }

    [Fact]
    public void A_dump_that_was_pinned_after_it_was_looked_at_stays()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        string[] before = _temp.Names;
        Assert.True(DumpPin.Set(dump, pinned: true));
        Assert.False(DumpPin.Set(dump, pinned: true));

        Assert.False(DumpRemoval.Remove(dump, manifest => !manifest.Pinned));
        Assert.Equal(before, _temp.Names);
        Assert.True(ManifestFile.Read(dump.ManifestPath).Pinned);

        Assert.True(DumpRemoval.Remove(dump));
        Assert.Empty(_temp.Names);
        Assert.Throws<StorageException>(() => DumpPin.Set(dump, pinned: true));
    }

    [Fact]
    public void Another_dump_that_has_the_names_now_stays()
    {
        var old = StoredDumps.Write(_temp.Path, "web", 0);
        StoredDumps.Write(_temp.Path, "web", 0);
        string[] before = _temp.Names;

        Assert.False(DumpRemoval.Remove(old));
        Assert.Throws<StorageException>(() => DumpPin.Set(old, pinned: true));

        Assert.Equal(before, _temp.Names);
    }

    [Fact]
    public void A_manifest_from_before_there_were_pins_is_not_pinned()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        var json = System.Text.Json.Nodes.JsonNode.Parse(_temp.Text("dump.web.0.json"))!.AsObject();
        Assert.True(json.Remove("pinned"));
        File.WriteAllText(dump.ManifestPath, json.ToJsonString());

        Assert.False(ManifestFile.Read(dump.ManifestPath).Pinned);
        Assert.True(DumpPin.Set(dump, pinned: true));
        Assert.True(ManifestFile.Read(dump.ManifestPath).Pinned);
    }

    [Fact]
    public void Every_crash_of_process_or_machine_leaves_dumps_that_are_what_they_say_and_the_rest_is_deleted_later()
    {
        int crashes = 0;
        foreach (var done in WaysToCrash())
        {
            string root = Path.Join(_temp.Path, (crashes++).ToString(CultureInfo.InvariantCulture));
            Directory.CreateDirectory(root);
            StoredDumps.Write(root, "web", 0);
            var dump = StoredDumps.Write(root, "web", 1, hasKey: true);
            File.WriteAllText(Path.Join(root, DumpRemoval.LedgerOf(dump.Manifest)), "");
            using (var directory = Posix.Open(root, Posix.O_RDONLY | Posix.O_DIRECTORY)!)
            {
                var removal = DumpRemoval.Begin(dump, directory);
                foreach (var step in done)
                    removal.Do(step);
            }

            string crash = $"after {string.Join(", ", done)}";
            AssertHonest(root, crash);
            bool isListed = File.Exists(dump.ManifestPath);

            DumpRemoval.FinishInterrupted(root, problem => Assert.Fail($"{problem} {crash}"));

            AssertHonest(root, crash);
            Assert.True(isListed == File.Exists(dump.ManifestPath), $"a dump that is listed goes only by another deletion, {crash}");
            if (isListed)
                DumpRemoval.Remove(dump);
            Assert.Equal(["dump.web.0.json", "info.web.0", "info.web.last", "vmcore.web.0", "vmcore.web.last"],
                Directory.GetFileSystemEntries(root).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
            Assert.Equal("vmcore.web.0", new FileInfo(Path.Join(root, "vmcore.web.last")).LinkTarget);
        }

        Assert.True(crashes >= 15, $"only {crashes} ways to crash");
    }

    [Fact]
    public void An_interrupted_deletion_harms_no_later_dump_of_the_same_names()
    {
        var old = StoredDumps.Write(_temp.Path, "web", 0);
        File.Move(old.ManifestPath, old.ManifestPath + CoreNames.HiddenSuffix);
        StoredDumps.Write(_temp.Path, "web", 0);

        Assert.Equal(1, DumpRemoval.FinishInterrupted(_temp.Path, problem => Assert.Fail(problem)));

        Assert.Equal(["dump.web.0.json", "info.web.0", "info.web.last", "vmcore.web.0", "vmcore.web.last"], _temp.Names);
    }

    [Fact]
    public void The_index_of_an_interrupted_deletion_is_not_given_again()
    {
        using var directory = DumpDirectory.Open(_temp.Path, null);
        File.WriteAllText(_temp.File("dump.web.0.json" + CoreNames.HiddenSuffix), "");
        using var file = Dumps.Receive(directory, Dumps.Pattern(10));

        Assert.Equal("vmcore.web.1", directory.Commit(file, Dumps.Complete(10), Dumps.Circumstances("web")).CoreFile);
    }

    [Fact]
    public void What_cannot_be_finished_is_told_and_stops_nothing()
    {
        Directory.CreateDirectory(_temp.File("sub"));
        File.WriteAllText(_temp.File("dump.bad.0.json" + CoreNames.HiddenSuffix), "{");
        var dump = StoredDumps.Write(_temp.File("sub"), "web", 0);
        File.Move(dump.ManifestPath, dump.ManifestPath + CoreNames.HiddenSuffix);
        var problems = new List<string>();

        Assert.Equal(1, DumpRemoval.FinishInterrupted(_temp.Path, problems.Add));

        Assert.Contains("dump.bad.0.json", Assert.Single(problems), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(_temp.File("sub")));
    }

    [Fact]
    public void A_dump_whose_ledger_is_still_there_is_in_use()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        Assert.False(Assert.Single(RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero))).IsInUse);

        File.WriteAllText(_temp.File(DumpRemoval.LedgerOf(dump.Manifest)), "");

        Assert.True(Assert.Single(RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero))).IsInUse);
    }

    [Fact]
    public void A_dump_whose_script_may_still_run_is_in_use()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        bool IsInUse(int secondsLater) => Assert.Single(RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), dump.Manifest.EndedAt.AddSeconds(secondsLater), new(TimeSpan.FromSeconds(300)))).IsInUse;
        Assert.True(IsInUse(299));
        Assert.False(IsInUse(300));

        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Script = new("s", "success", 0, false, StoredDumps.Now, 1) });

        Assert.False(IsInUse(1));
    }

    [Fact]
    public void A_deletion_waits_for_who_changes_a_manifest_in_the_directory()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        Thread removing;
        bool removed = false;
        using (ManifestFile.LockDirectoryOf(dump.ManifestPath))
        {
            removing = new(() => removed = DumpRemoval.Remove(dump));
            removing.Start();
            Assert.False(removing.Join(100), "it did not wait");
            Assert.True(File.Exists(dump.ManifestPath));
        }

        removing.Join();
        Assert.True(removed);
    }

    /// <summary>The steps that a crash leaves done: those before the last sync, and any of those after it, as file systems may reorder names.</summary>
    private static IEnumerable<Step[]> WaysToCrash()
    {
        Step[] all = Enum.GetValues<Step>();
        int durable = 0;
        for (int next = 0; next <= all.Length; next++)
        {
            // RemoveLedger syncs too.
            if (next < all.Length && all[next] is not (Step.SyncDescriptions or Step.SyncContents or Step.RemoveLedger))
                continue;
            var loose = all[durable..next];
            for (int subset = 0; subset < 1 << loose.Length; subset++)
                yield return [.. all[..durable], .. loose.Where((_, i) => (subset >> i & 1) != 0)];
            durable = next + 1;
        }
    }

    private static void AssertHonest(string root, string crash)
    {
        var catalog = DumpCatalog.Read(root);
        Assert.True(catalog.Dumps.Any(dump => dump.Name == "web.0"), $"another dump is gone, {crash}");
        foreach (var dump in catalog.Dumps)
        {
            Assert.True(new FileInfo(dump.VmcorePath) is { Exists: true } core && (ulong)core.Length == dump.Manifest.Bytes, $"a manifest without its data, {crash}");
            Assert.True(dump.KeyPath is null || File.Exists(dump.KeyPath), $"a manifest without its key, {crash}");
        }

        Assert.True(!File.Exists(Path.Join(root, "info.web.1")) || File.Exists(Path.Join(root, "vmcore_encrypted.web.1")), $"an info file that says complete without its data, {crash}");
        Assert.True(catalog.Dumps.Count == 2 || Directory.GetFiles(root, "*.ledger").Length == 0, $"a ledger from which a deleted dump would begin anew, {crash}");
    }

    private (string? Core, string? Info) Links(string host) =>
        (new FileInfo(_temp.File($"vmcore.{host}.last")).LinkTarget, new FileInfo(_temp.File($"info.{host}.last")).LinkTarget);
}
