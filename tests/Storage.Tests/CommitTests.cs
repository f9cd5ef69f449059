using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests;

public sealed class CommitTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public CommitTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void A_complete_dump_has_netdumpds_files_and_a_manifest()
    {
        byte[] content = Dumps.Pattern(8192);
        var committed = Commit(content, Dumps.Complete(8192));

        Assert.Equal(["bounds.web", "dump.web.0.json", "info.web.0", "info.web.last", "vmcore.web.0", "vmcore.web.last"], _temp.Names);
        Assert.Equal(content, File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.Equal("1\n", _temp.Text("bounds.web"));
        Assert.Equal("vmcore.web.0", new FileInfo(_temp.File("vmcore.web.last")).LinkTarget);
        Assert.Equal("info.web.0", new FileInfo(_temp.File("info.web.last")).LinkTarget);
        Assert.EndsWith("\nDump complete\n", _temp.Text("info.web.0"), StringComparison.Ordinal);
        Assert.Equal("vmcore.web.0", committed.CoreFile);
        Assert.Equal("info.web.0", committed.InfoFile);
        Assert.Equal(_temp.File("dump.web.0.json"), committed.ManifestPath);
        Assert.All(["bounds.web", "dump.web.0.json", "info.web.0", "vmcore.web.0"], name => Assert.Equal(OwnerOnly, File.GetUnixFileMode(_temp.File(name))));

        var manifest = ManifestFile.Read(committed.ManifestPath);
        Assert.Equal(DumpStatus.Complete, manifest.Status);
        Assert.Equal(HashState.Pending, manifest.HashState);
        Assert.Equal(new("vmcore.web.0", "info.web.0", null), manifest.Files);
        Assert.Equal(JsonSerializer.Serialize(committed.Manifest), JsonSerializer.Serialize(manifest));
    }

    [Theory]
    [InlineData(DumpCompression.None, false, "vmcore.web.0")]
    [InlineData(DumpCompression.Gzip, false, "vmcore.web.0.gz")]
    [InlineData(DumpCompression.Zstd, false, "vmcore.web.0.zst")]
    [InlineData(DumpCompression.None, true, "vmcore_encrypted.web.0")]
    [InlineData(DumpCompression.Gzip, true, "vmcore_encrypted.web.0.gz")]
    [InlineData(DumpCompression.Zstd, true, "vmcore_encrypted.web.0.zst")]
    public void The_name_tells_encryption_and_compression(DumpCompression compression, bool encrypted, string name)
    {
        var header = Dumps.Header(5000, encrypted ? 512u : 0, compression);
        byte[]? key = encrypted ? Dumps.Pattern(4096) : null;

        Commit(Dumps.Pattern(8192), Dumps.Complete(5000, header) with { CoveredBytes = 8192, Key = key });

        Assert.Equal(5000, new FileInfo(_temp.File(name)).Length);
        Assert.Equal(name, new FileInfo(_temp.File("vmcore.web.last")).LinkTarget);
        Assert.Equal(encrypted, File.Exists(_temp.File("key.web.0")));
        if (encrypted)
        {
            Assert.Equal(key, File.ReadAllBytes(_temp.File("key.web.0")));
            Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(_temp.File("key.web.0")));
            Assert.Equal("key.web.0", ManifestFile.Read(_temp.File("dump.web.0.json")).Files.Key);
        }
    }

    [Fact]
    public void A_key_without_a_header_already_means_encrypted()
    {
        Commit(Dumps.Pattern(100), Dumps.TimedOut(100) with { Key = Dumps.Pattern(300) });

        Assert.Contains("vmcore_encrypted.web.0", _temp.Names);
        Assert.Contains("key.web.0", _temp.Names);
    }

    [Fact]
    public void A_header_that_cannot_be_believed_names_nothing()
    {
        byte[] raw = KernelDumpHeader.Create("amd64", 100, Dumps.StartedAt, 512, 512, DumpCompression.Gzip, "h", "v", "p");
        raw[508] ^= 1;

        Commit(Dumps.Pattern(100), Dumps.TimedOut(100) with { Status = DumpStatus.Headerless, Reason = EndReason.Finished, Header = KernelDumpHeader.Read(raw) });

        Assert.Contains("vmcore.web.0", _temp.Names);
        Assert.EndsWith("  Header Parity Check: Fail\nDump without a valid kernel dump header\n", _temp.Text("info.web.0"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DumpStatus.Incomplete, EndReason.ClientTimedOut)]
    [InlineData(DumpStatus.Incomplete, EndReason.WriteError)]
    [InlineData(DumpStatus.Headerless, EndReason.Finished)]
    public void A_dump_that_is_not_covered_is_never_cut(DumpStatus status, EndReason reason)
    {
        Commit(Dumps.Pattern(8192), Dumps.Complete(5000) with { Status = status, Reason = reason, CoveredBytes = 5000 });

        Assert.Equal(8192, new FileInfo(_temp.File("vmcore.web.0")).Length);
        Assert.Equal(8192UL, ManifestFile.Read(_temp.File("dump.web.0.json")).Bytes);
    }

    [Fact]
    public void A_damaged_dump_is_whole_and_cut_to_its_length()
    {
        Commit(Dumps.Pattern(8192), Dumps.Complete(5000, Dumps.Header(5000, compression: DumpCompression.Gzip)) with { Status = DumpStatus.Damaged, Damaged = [new(10, 20)] });

        Assert.Equal(5000, new FileInfo(_temp.File("vmcore.web.0.gz")).Length);
        Assert.DoesNotContain("Dump complete", _temp.Text("info.web.0"), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_way_to_end_says_so_and_only_a_complete_one_says_complete()
    {
        var summaries = from status in Enum.GetValues<DumpStatus>()
                        from reason in Enum.GetValues<EndReason>()
                        where status != DumpStatus.Complete || reason != EndReason.WriteError
                        select Dumps.Complete(10) with { Status = status, Reason = reason };
        foreach (var summary in summaries)
        {
            var committed = Commit(Dumps.Pattern(10), summary);

            Assert.Equal(summary.Status == DumpStatus.Complete, _temp.Text(committed.InfoFile).Contains("Dump complete", StringComparison.Ordinal));
            Assert.Equal(summary.Status, ManifestFile.Read(committed.ManifestPath).Status);
            Assert.Equal(summary.Reason, ManifestFile.Read(committed.ManifestPath).Reason);
            Assert.True(File.Exists(_temp.File(committed.CoreFile)));
        }

        Assert.DoesNotContain(_temp.Names, name => name.StartsWith("partial.", StringComparison.Ordinal) || name.StartsWith('.'));
    }

    [Theory]
    [InlineData(null, 0)]
    [InlineData("", 0)]
    [InlineData("7\n", 7)]
    [InlineData("7", 7)]
    [InlineData(" 7 \r\n", 7)]
    [InlineData("-1\n", 0)]
    [InlineData("seven", 0)]
    [InlineData("99999999999999999999999999999999999999\n", 0)]
    public void Bounds_gives_the_index_when_it_says_something_sensible(string? bounds, long index)
    {
        if (bounds is not null)
            File.WriteAllText(_temp.File("bounds.web"), bounds);

        var committed = Commit(Dumps.Pattern(10), Dumps.Complete(10));

        Assert.Equal(index, committed.Manifest.Index);
        Assert.Equal($"{index + 1}\n", _temp.Text("bounds.web"));
    }

    [Theory]
    [InlineData("vmcore.web.3")]
    [InlineData("vmcore.web.3.gz")]
    [InlineData("vmcore.web.3.zst")]
    [InlineData("vmcore_encrypted.web.3")]
    [InlineData("vmcore_encrypted.web.3.gz")]
    [InlineData("vmcore_encrypted.web.3.zst")]
    [InlineData("info.web.3")]
    [InlineData("key.web.3")]
    [InlineData("dump.web.3.json")]
    public void A_stale_bounds_file_overwrites_nothing(string existing)
    {
        File.WriteAllText(_temp.File("bounds.web"), "3\n");
        File.WriteAllText(_temp.File(existing), "precious");
        File.CreateSymbolicLink(_temp.File("info.web.4"), "dangling");

        var committed = Commit(Dumps.Pattern(10), Dumps.Complete(10));

        Assert.Equal("vmcore.web.5", committed.CoreFile);
        Assert.Equal("precious", _temp.Text(existing));
        Assert.Equal("6\n", _temp.Text("bounds.web"));
    }

    [Fact]
    public void A_last_that_is_not_a_link_stays()
    {
        File.WriteAllText(_temp.File("vmcore.web.last"), "precious");

        Commit(Dumps.Pattern(10), Dumps.Complete(10));

        Assert.Equal("precious", _temp.Text("vmcore.web.last"));
        Assert.Equal("info.web.0", new FileInfo(_temp.File("info.web.last")).LinkTarget);
    }

    [Fact]
    public void Dumps_of_one_host_that_end_together_get_an_index_each()
    {
        byte[][] contents = [.. Enumerable.Range(1, 32).Select(i => Enumerable.Repeat((byte)i, 1000 + i).ToArray())];
        var committed = new CommittedDump[32];
        var threads = contents.Select((content, i) => new Thread(() => committed[i] = Commit(content, Dumps.Complete((ulong)content.Length)))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());

        Assert.Equal(Enumerable.Range(0, 32).Select(i => (long)i), committed.Select(dump => dump.Manifest.Index).Order());
        Assert.Equal("32\n", _temp.Text("bounds.web"));
        Assert.Equal("vmcore.web.31", new FileInfo(_temp.File("vmcore.web.last")).LinkTarget);
        for (int i = 0; i < 32; i++)
            Assert.Equal(contents[i], File.ReadAllBytes(_temp.File(committed[i].CoreFile)));
    }

    [Fact]
    public void No_host_name_leads_outside_the_directory()
    {
        string[] nasty = ["../x", "/etc/x", "..", ".", "", "a/../../x", "last", "a.last", "0", "a.0", "a.gz", "\0", "\n", new('x', 5000), "😀"];
        var host = Gen.OneOf(Gen.Elements(nasty), ArbMap.Default.GeneratorFor<string>().Where(s => s is not null));
        int hosts = 0;
        Prop.ForAll(host.ToArbitrary(), name =>
        {
            string sub = $"dir{hosts++}";
            string outer = Directory.CreateDirectory(_temp.File(sub)).FullName;
            string inner = Directory.CreateDirectory(Path.Combine(outer, "dumps")).FullName;
            using var directory = DumpDirectory.Open(inner, null);
            using var file = Dumps.Receive(directory, [1, 2, 3]);

            directory.Commit(file, Dumps.TimedOut(3), Dumps.Circumstances(name));

            Assert.Equal([inner], Directory.GetFileSystemEntries(outer));
            Assert.Empty(Directory.GetDirectories(inner));
            file.RemoveLedger();
            Assert.Equal(6, Directory.GetFileSystemEntries(inner).Length);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    [Fact]
    public void Hosts_whose_names_are_alike_share_no_file()
    {
        foreach (string host in (string[])["a", "a.0", "a.last", "last", "a", "a.0.gz", "a/0", "a_0"])
            Commit(Dumps.Pattern(10), Dumps.Complete(10), host);

        Assert.Equal(8, DumpCatalog.Read(_temp.Path).Dumps.Select(dump => dump.VmcorePath).Distinct().Count());
        Assert.Equal(8, _temp.Names.Count(name => name.StartsWith("vmcore.", StringComparison.Ordinal) && new FileInfo(_temp.File(name)).LinkTarget is null));
    }

    [Fact]
    public void A_complete_dump_whose_file_is_too_short_is_kept_as_a_write_error()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));

        var e = Assert.Throws<StorageException>(() => _directory.Commit(file, Dumps.Complete(101), Dumps.Circumstances("web")));

        Assert.Contains("has 100 bytes, the dump has 101", e.Message, StringComparison.Ordinal);
        AssertKeptAsWriteError(e, Dumps.Pattern(100));
    }

    [Fact]
    public void A_failed_fsync_is_never_forgotten()
    {
        var identity = Dumps.NewIdentity();
        using (var real = _directory.Create(identity, default, null))
            Dumps.Write(real, 0, Dumps.Pattern(100));
        // Files of the proc file system cannot be synced.
        var broken = Posix.Open("/proc/self/status", Posix.O_RDONLY)!;
        var folder = new DumpFolder(Posix.Open(_temp.Path, Posix.O_RDONLY)!, _temp.Path, "", OwnsHandle: true);
        var ledger = Posix.Open(_temp.File(DumpFile.NameOf(identity) + DumpFile.LedgerSuffix), Posix.O_RDWR)!;
        using var file = new DumpFile(identity, default, folder, broken, ledger, null);

        Assert.Throws<StorageException>(() => file.Settle(null));
        Assert.NotNull(file.SyncError);
        var e = Assert.Throws<StorageException>(() => _directory.Commit(file, Dumps.TimedOut(100), Dumps.Circumstances("web")));

        Assert.Equal($"{file.PartialPath}: not durable, fsync failed: Invalid argument (EINVAL)", e.Message);
        AssertKeptAsWriteError(e, Dumps.Pattern(100));
    }

    [Fact]
    public void Bounds_that_cannot_be_written_cost_the_dump_nothing()
    {
        Directory.CreateDirectory(_temp.File("bounds.web/occupied"));

        foreach (int index in (int[])[0, 1])
        {
            var committed = Commit(Dumps.Pattern(100), Dumps.Complete(100));

            Assert.Equal((DumpStatus.Complete, $"vmcore.web.{index}"), (committed.Manifest.Status, committed.CoreFile));
            Assert.StartsWith("bounds.web: cannot be renamed from its temporary name: ", committed.PointerProblem, StringComparison.Ordinal);
            Assert.Equal($"vmcore.web.{index}", new FileInfo(_temp.File("vmcore.web.last")).LinkTarget);
            Assert.Equal($"info.web.{index}", new FileInfo(_temp.File("info.web.last")).LinkTarget);
        }
    }

    [TinyFileSystemTheory]
    // The directory, the ledger, the data, the info file and the manifest have one each.
    [InlineData(5, new[] { "bounds.web: cannot be created: ", "vmcore.web.last: link cannot be made: ", "info.web.last: link cannot be made: " })]
    [InlineData(6, new[] { "vmcore.web.last: link cannot be made: ", "info.web.last: link cannot be made: " })]
    [InlineData(7, new[] { "info.web.last: link cannot be made: " })]
    [InlineData(8, new string[0])]
    public void What_only_points_to_a_dump_may_lack_an_inode(int inodes, string[] problems)
    {
        using var tiny = new TinyFileSystem($"size=1m,nr_inodes={inodes},mode=0700");
        using var directory = DumpDirectory.Open(tiny.Path, null);
        using var file = Dumps.Receive(directory, Dumps.Pattern(100));

        var committed = directory.Commit(file, Dumps.Complete(100), Dumps.Circumstances("web"));

        Assert.Equal(problems.Length == 0 ? null : string.Join("; ", problems.Select(problem => $"{problem}No space left on device (ENOSPC)")), committed.PointerProblem);
        Assert.Equal(DumpStatus.Complete, ManifestFile.Read(committed.ManifestPath).Status);
        Assert.Equal(Dumps.Pattern(100), File.ReadAllBytes(Path.Join(tiny.Path, committed.CoreFile)));
        Assert.Equal(8 - problems.Length - 1, Directory.GetFileSystemEntries(tiny.Path).Length);
    }

    [TinyFileSystemTheory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Without_an_inode_for_what_describes_it_a_dump_stays_partial_until_there_is_one(int inodes)
    {
        using var tiny = new TinyFileSystem($"size=1m,nr_inodes={inodes},mode=0700");
        using var directory = DumpDirectory.Open(tiny.Path, null);
        using var file = Dumps.Receive(directory, Dumps.Pattern(100));
        var summary = Dumps.Complete(100, Dumps.Header(100, keySize: 512)) with { Key = Dumps.Pattern(512) };
        string[] before = Directory.GetFileSystemEntries(tiny.Path);

        for (int attempt = 0; attempt < 2; attempt++)
        {
            var e = Assert.Throws<StorageException>(() => directory.Commit(file, summary, Dumps.Circumstances("web")));

            Assert.EndsWith(".web.0" + (inodes == 5 ? ".json" : "") + ": cannot be created: No space left on device (ENOSPC)", e.Message, StringComparison.Ordinal);
            Assert.Null(e.Kept);
            Assert.Equal(before.Order(), Directory.GetFileSystemEntries(tiny.Path).Order());
            Assert.True(file.IsThere());
        }

        tiny.Remount("nr_inodes=100");
        var committed = directory.Commit(file, summary, Dumps.Circumstances("web"));

        Assert.Equal((DumpStatus.Complete, 0), (ManifestFile.Read(committed.ManifestPath).Status, committed.Manifest.Index));
        Assert.Equal(Dumps.Pattern(100), File.ReadAllBytes(Path.Join(tiny.Path, committed.CoreFile)));
        Assert.Equal(Dumps.Pattern(512), File.ReadAllBytes(Path.Join(tiny.Path, "key.web.0")));
    }

    [Fact]
    public void A_commit_that_cannot_be_taken_back_is_when_the_next_attempt_begins()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        string partial = file.PartialPath;
        // The info file cannot get its name, nor the data their first one.
        var summary = Dumps.TimedOut(100) with
        {
            Missing = new Interruption(() =>
            {
                File.WriteAllText(_temp.File("info.web.0"), "precious");
                File.WriteAllText(partial, "in the way");
            }),
        };
        Assert.StartsWith("info.web.0: ", Assert.Throws<StorageException>(() => _directory.Commit(file, summary, Dumps.Circumstances("web"))).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be renamed back to partial.", Assert.Throws<StorageException>(() => _directory.Commit(file, summary, Dumps.Circumstances("web"))).Message, StringComparison.Ordinal);
        Assert.Equal(Dumps.Pattern(100), File.ReadAllBytes(_temp.File("vmcore.web.0")));

        File.Delete(partial);
        Assert.True(file.IsThere());
        var committed = _directory.Commit(file, summary, Dumps.Circumstances("web"));

        Assert.Equal("vmcore.web.1", committed.CoreFile);
        Assert.Equal(Dumps.Pattern(100), File.ReadAllBytes(_temp.File("vmcore.web.1")));
        Assert.Equal("precious", _temp.Text("info.web.0"));
        Assert.DoesNotContain("vmcore.web.0", _temp.Names);
    }

    [Fact]
    public void An_index_that_was_taken_back_is_the_next_attempts()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        // The last name that is given, when bounds and the links have moved on.
        var summary = Dumps.TimedOut(100) with { Missing = new Interruption(() => File.WriteAllText(_temp.File("dump.web.0.json"), "passing")) };
        Assert.Throws<StorageException>(() => _directory.Commit(file, summary, Dumps.Circumstances("web")));
        Assert.Equal("1\n", _temp.Text("bounds.web"));

        File.Delete(_temp.File("dump.web.0.json"));
        File.Delete(_temp.File("vmcore.web.last"));
        var committed = _directory.Commit(file, summary, Dumps.Circumstances("web"));

        Assert.Equal("vmcore.web.0", committed.CoreFile);
        Assert.Equal("1\n", _temp.Text("bounds.web"));
        Assert.Equal("vmcore.web.0", new FileInfo(_temp.File("vmcore.web.last")).LinkTarget);
    }

    [Fact]
    public void A_dump_whose_data_somebody_removed_is_not_there()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        Assert.True(file.IsThere());

        File.Delete(file.PartialPath);

        Assert.False(file.IsThere());
    }

    [Fact]
    public void A_dump_that_could_not_be_committed_can_be_kept_as_a_failure()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));

        var kept = _directory.CommitAsFailed(file, Dumps.Complete(100), Dumps.Circumstances("web"), "No space left on device (ENOSPC)");

        AssertKeptAsWriteError(new("No space left on device (ENOSPC)") { Kept = kept }, Dumps.Pattern(100));
    }

    [Fact]
    public void A_dump_that_ended_by_a_write_error_says_which()
    {
        Commit(Dumps.Pattern(100), Dumps.TimedOut(100) with { Reason = EndReason.WriteError, Error = "No space left on device (ENOSPC) at offset 0x64" });

        Assert.EndsWith("\nDump unsuccessful: write error: No space left on device (ENOSPC) at offset 0x64\n", _temp.Text("info.web.0"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_partial_file_that_cannot_get_its_name_stays()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        File.Move(file.PartialPath, _temp.File("elsewhere"));

        var e = Assert.Throws<StorageException>(() => _directory.Commit(file, Dumps.Complete(100), Dumps.Circumstances("web")));

        Assert.Contains("cannot be renamed to vmcore.web.0: No such file or directory (ENOENT)", e.Message, StringComparison.Ordinal);
        Assert.Null(e.Kept);
        Assert.Equal(["elsewhere", Path.GetFileName(file.PartialPath) + ".ledger"], _temp.Names);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Data_does_not_get_a_name_that_the_ledger_could_not_note_durably(bool canWrite)
    {
        var identity = Dumps.NewIdentity();
        using (var real = _directory.Create(identity, default, null))
            Dumps.Write(real, 0, Dumps.Pattern(100));
        // What is written to /dev/null cannot be synced.
        var ledger = canWrite ? Posix.Open("/dev/null", Posix.O_RDWR)! : MemoryFile.OfFixedSize(0);
        var folder = new DumpFolder(Posix.Open(_temp.Path, Posix.O_RDONLY)!, _temp.Path, "", OwnsHandle: true);
        var data = Posix.Open(_temp.File(DumpFile.NameOf(identity)), Posix.O_RDWR)!;
        using var file = new DumpFile(identity, default, folder, data, ledger, null);

        var e = Assert.Throws<StorageException>(() => _directory.Commit(file, Dumps.Complete(100), Dumps.Circumstances("web")));

        Assert.StartsWith($"ledger of {file.PartialPath}: ", e.Message, StringComparison.Ordinal);
        Assert.Null(e.Kept);
        Assert.Equal(["partial", "partial"], _temp.Names.Select(name => name.Split('.')[0]));
    }

    [Theory]
    [InlineData("key.web.0")]
    [InlineData("info.web.0")]
    [InlineData("dump.web.0.json")]
    public void A_file_that_somebody_makes_in_between_stays_and_the_dump_gets_another_index(string theirs)
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        string partial = file.PartialPath;
        var summary = Dumps.TimedOut(100) with { Key = Dumps.Pattern(300), Missing = new Interruption(() => File.WriteAllText(_temp.File(theirs), "precious")) };

        var e = Assert.Throws<StorageException>(() => _directory.Commit(file, summary, Dumps.Circumstances("web")));

        Assert.Null(e.Kept);
        Assert.True(File.Exists(partial));
        Assert.Equal(["bounds.web", theirs], _temp.Names.Where(name => !name.StartsWith("partial.", StringComparison.Ordinal) && !name.EndsWith(".last", StringComparison.Ordinal)).Append("bounds.web").Distinct().Order(StringComparer.Ordinal));

        var committed = _directory.Commit(file, summary with { Missing = [] }, Dumps.Circumstances("web"));

        Assert.Equal(1, committed.Manifest.Index);
        Assert.Equal("precious", _temp.Text(theirs));
        Assert.Equal(Dumps.Pattern(300), File.ReadAllBytes(_temp.File("key.web.1")));
    }

    [Fact]
    public void A_summary_that_contradicts_itself_is_refused()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(100));
        DumpSummary[] wrong =
        [
            Dumps.Complete(100) with { CoveredBytes = 99 },
            Dumps.Complete(100) with { MissingBytes = 1 },
            Dumps.Complete(100) with { Header = null },
            Dumps.Complete(100) with { Reason = EndReason.WriteError },
        ];

        Assert.All(wrong, summary => Assert.Throws<ArgumentException>(() => _directory.Commit(file, summary, Dumps.Circumstances("web"))));
        Assert.Equal(2, _temp.Names.Length);
    }

    [Fact]
    public void A_mostly_empty_file_is_not_to_be_hashed()
    {
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);
        Dumps.Write(file, 1UL << 42, [1]);

        var committed = _directory.Commit(file, Dumps.TimedOut((1UL << 42) + 1) with { CoveredBytes = 1 }, Dumps.Circumstances("web"));

        Assert.Equal(HashState.Skipped, committed.Manifest.HashState);
    }

    [Fact]
    public void Where_renameat2_is_missing_a_link_does_not_replace_either()
    {
        using var folder = Posix.Open(_temp.Path, Posix.O_RDONLY)!;
        File.WriteAllText(_temp.File("a"), "a");
        File.WriteAllText(_temp.File("b"), "b");

        Assert.Equal(Errno.EEXIST, Posix.LinkAndUnlink(folder, "a", "b"));
        Assert.Equal(0, Posix.LinkAndUnlink(folder, "a", "c"));

        Assert.Equal(["b", "c"], _temp.Names);
        Assert.Equal("b", _temp.Text("b"));
    }

    [Fact]
    public void Names_on_a_file_system_that_hangs_hold_up_no_other_file_system()
    {
        using var file = Dumps.Receive(_directory, Dumps.Pattern(10));
        var commit = new Thread(() => _directory.Commit(file, Dumps.Complete(10), Dumps.Circumstances("web")));
        bool isCommitted;

        // As a commit of the same host does whose rename does not come back.
        lock (_directory.NamingOf(file.Device + 1, "web"))
        {
            commit.Start();
            isCommitted = commit.Join(TimeSpan.FromSeconds(30));
        }

        commit.Join();
        Assert.True(isCommitted);
        file.RemoveLedger();
    }

    private CommittedDump Commit(byte[] content, DumpSummary summary, string host = "web")
    {
        using var file = Dumps.Receive(_directory, content);
        var committed = _directory.Commit(file, summary, Dumps.Circumstances(host));
        file.RemoveLedger();
        return committed;
    }

    /// <summary>No ranges, and something happens when they are first looked at: in mid-commit, with the data under its final name.</summary>
    private sealed class Interruption(Action happens) : IReadOnlyList<ByteRange>
    {
        private Action? _happens = happens;

        public int Count
        {
            get
            {
                Interlocked.Exchange(ref _happens, null)?.Invoke();
                return 0;
            }
        }

        public ByteRange this[int index] => throw new ArgumentOutOfRangeException(nameof(index));

        public IEnumerator<ByteRange> GetEnumerator() => Enumerable.Empty<ByteRange>().GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }

    private void AssertKeptAsWriteError(StorageException e, byte[] content)
    {
        var kept = Assert.IsType<CommittedDump>(e.Kept);
        Assert.Equal(content, File.ReadAllBytes(_temp.File(kept.CoreFile)));
        Assert.EndsWith($"\nDump unsuccessful: write error: {e.Message}\n", _temp.Text(kept.InfoFile), StringComparison.Ordinal);
        Assert.DoesNotContain("Dump complete", _temp.Text(kept.InfoFile), StringComparison.Ordinal);
        var manifest = ManifestFile.Read(kept.ManifestPath);
        Assert.Equal((DumpStatus.Incomplete, EndReason.WriteError, e.Message), (manifest.Status, manifest.Reason, manifest.Error));
        Assert.Contains(_temp.Names, name => name.EndsWith(".ledger", StringComparison.Ordinal));
        Assert.DoesNotContain(_temp.Names, name => name.StartsWith('.'));
    }
}
