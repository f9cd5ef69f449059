using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Tests;

/// <summary>What the next process makes of what one left, killed at any point or lost with its machine.</summary>
public sealed class RecoveryTests : IDisposable
{
    private static readonly DumpEndpoint s_endpoint = new(Ipv4.Loopback, 20100, 0, 20024, HeraldSeqno: 1);

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public RecoveryTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void A_running_dump_goes_on_with_everything_that_was_saved()
    {
        byte[] key = Dumps.Pattern(100);
        var identity = Dumps.NewIdentity();
        using (var file = _directory.Create(identity, s_endpoint, null))
        {
            var before = new Conversation(file, new(new(), 1, 0));
            before.SendPage(0);
            before.SendPage(4096);
            before.SendPage(4 * 4096);
            before.SendKey(key);
            before.SendHeader(5 * 4096);
        }

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.Equal((identity, s_endpoint, false, false), (dump.File.Identity, dump.File.Endpoint, dump.IsWhole, dump.MachineCrashed));
            var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
            Assert.Equal([new(0, 8192), new(4 * 4096, 5 * 4096)], session.CoveredRanges.ToArray());
            Assert.Equal(5UL * 4096, session.Header!.DumpLength);
            session.End(EndReason.ClientTimedOut);
            Assert.Equal(key, session.Summary!.Key!.Value.ToArray());
            Assert.Equal(new ByteRange(8192, 4 * 4096), Assert.Single(session.Summary.Missing));
            Assert.Empty(session.Summary.Unverified);
        }
    }

    [Fact]
    public void A_part_of_another_nodes_dump_stays_one_and_is_described_as_one()
    {
        var identity = Dumps.NewIdentity() with { Continues = new("20261121T013939Z-00000001", "a", 2) };
        using (var file = _directory.Create(identity, s_endpoint, null))
        {
            var before = new Conversation(file, DumpSession.Continue(new(), [], 0));
            before.SendPageAt(700, 65536);
        }

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.Equal(identity, dump.File.Identity);
            var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
            Assert.True(session.IsContinuation);
            var after = new Conversation(dump.File, session);
            after.SendPageAt(702, 65536 + 4096);
            var summary = after.Finish();
            Assert.Equal((DumpStatus.Incomplete, EndReason.Finished), (summary.Status, summary.Reason));
            Assert.Equal(identity.Continues, _directory.Commit(dump.File, summary, Dumps.Circumstances("web")).Manifest.Continues);
        }
    }

    /// <summary>The file's length tells what is stored, until holes count as stored, and then again.</summary>
    [Fact]
    public void Processes_that_leave_holes_and_others_take_turns_and_lose_nothing()
    {
        _directory.Create(Dumps.NewIdentity(), s_endpoint, null).Dispose();
        // Each process sends four pages, of which some are zeros, also the last one.
        for (uint process = 0; process < 6; process++)
        {
            _directory.LeavesHoles = process % 2 == 1;
            ulong stored = process * 4 * WellKnown.PageBytes;
            var dump = Assert.Single(TakeOver());
            using (dump.File)
            {
                var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
                Assert.Equal((stored, stored), (session.CoveredBytes, session.ContiguousBytes));
                var conversation = new Conversation(dump.File, session);
                for (uint page = 0; page < 4; page++)
                {
                    uint seqno = 2 + (process * 4 + page) * 2;
                    if (page % 2 == 1)
                        conversation.SendZerosAt(seqno, stored + page * WellKnown.PageBytes);
                    else
                        conversation.SendPageAt(seqno, stored + page * WellKnown.PageBytes);
                }
            }
        }

        using var last = Assert.Single(TakeOver()).File;
        byte[] bytes = last.ReadBytes(new(0, 24 * WellKnown.PageBytes));
        for (uint page = 0; page < 24; page++)
            Assert.Equal(page % 2 == 1 ? new byte[WellKnown.PageBytes] : Conversation.Page(page * WellKnown.PageBytes), bytes[(int)(page * WellKnown.PageBytes)..(int)((page + 1) * WellKnown.PageBytes)]);
    }

    [Fact]
    public void A_dump_is_continued_by_one_process_only()
    {
        using (_directory.Create(Dumps.NewIdentity(), s_endpoint, null))
            Assert.Empty(TakeOver());

        using var dump = Assert.Single(TakeOver()).File;

        Assert.Empty(TakeOver());
        Assert.Equal(2, _temp.Names.Length);
    }

    [Fact]
    public async Task Who_only_looks_keeps_no_dump_from_being_continued()
    {
        using (_directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
        }

        using var enough = new CancellationTokenSource();
        var looking = Task.Run(() =>
        {
            while (!enough.IsCancellationRequested)
                _ = DumpCatalog.Read(_temp.Path);
        });
        for (int i = 0; i < 2000; i++)
            Assert.Single(TakeOver()).File.Dispose();
        await enough.CancelAsync();
        await looking;
    }

    [Fact]
    public void A_dump_in_a_directory_beneath_is_found()
    {
        Directory.CreateDirectory(_temp.File("a/b"));
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, "a/b"))
            new Conversation(file, new(new(), 1, 0)).SendPage(0);

        using var dump = Assert.Single(TakeOver()).File;

        Assert.Equal(_temp.File("a/b"), Path.GetDirectoryName(dump.PartialPath));
    }

    [Fact]
    public void A_dump_in_a_directory_with_a_dot_is_found()
    {
        Directory.CreateDirectory(_temp.File(".lab/.x"));
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, ".lab/.x"))
            new Conversation(file, new(new(), 1, 0)).SendPage(0);

        Assert.Single(DumpCatalog.Read(_temp.Path).Partials);
        using var dump = Assert.Single(TakeOver()).File;

        Assert.Equal(_temp.File(".lab/.x"), Path.GetDirectoryName(dump.PartialPath));
    }

    [Fact]
    public void Of_a_record_that_was_torn_nothing_is_read_behind_the_next_one()
    {
        string ledger;
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            new Conversation(file, new(new(), 1, 0)).SendPage(0);
            ledger = file.PartialPath + ".ledger";
            Assert.True(file.AppendKey(0, [1, 2, 3, .. DumpFileTests.Forgery, .. Dumps.Pattern(100)], out _));
        }

        using (var bytes = File.OpenWrite(ledger))
            bytes.SetLength(bytes.Length - 1);

        using var dump = Assert.Single(TakeOver()).File;
        Assert.True(dump.AppendKey(0, [1, 2, 3], out _));

        var read = LedgerFile.Read(ledger);
        Assert.IsType<LedgerRecord.Key>(read.Records[^1]);
        Assert.True(read.EndsClean);
    }

    [Fact]
    public void The_newest_whole_state_counts_also_after_several_processes()
    {
        var identity = Dumps.NewIdentity();
        using (var file = _directory.Create(identity, s_endpoint, null))
            new Conversation(file, new(new(), 1, 0), savesAlways: true).SendPage(0);
        for (int i = 1; i < 5; i++)
        {
            var dump = Assert.Single(TakeOver());
            using (dump.File)
            {
                var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
                Assert.Equal((ulong)i * 4096, session.CoveredBytes);
                new Conversation(dump.File, session, savesAlways: true).SendPageAt((uint)(2 + 2 * i), (ulong)i * 4096);
            }
        }

        // The last one was killed while it wrote.
        string ledger = _temp.File(_temp.Names.Single(name => name.EndsWith(".ledger", StringComparison.Ordinal)));
        uint number = LedgerFile.Read(ledger).StateNumber;
        FlipByte(ledger, LedgerFormat.StateOffset(number) + 20);

        var last = Assert.Single(TakeOver());
        using (last.File)
            Assert.Equal(4UL * 4096, DumpSession.ContiguousBytesOf(last.Saved!.State));
    }

    [Fact]
    public void Many_ranges_are_found_again()
    {
        ByteRange[] ranges = [.. Enumerable.Range(0, 1000).Select(i => new ByteRange((ulong)i * 8192, (ulong)i * 8192 + 4096))];
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            Assert.True(file.AppendRanges(LedgerRecordType.Stored, ranges, out _));
            Assert.True(file.AppendRanges(LedgerRecordType.Damaged, ranges.AsSpan(0, 65), out _));
            Assert.True(file.AppendRanges(LedgerRecordType.Overwritten, ranges.AsSpan(0, 1), out _));
            Assert.True(file.AppendRanges(LedgerRecordType.Overwritten, [], out _));
        }

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.Equal(ranges, dump.Saved!.Ranges);
            Assert.Equal(ranges[..65], dump.Saved.Damaged);
            Assert.Equal(ranges[..1], dump.Saved.Overwritten);
        }
    }

    [Fact]
    public void A_commit_that_had_only_noted_its_name_begins_anew()
    {
        using (var file = BeginWhole(out _))
            file.NoteCommitting(Names(3));

        AssertCommitsAnew(index: 0);
    }

    [Fact]
    public void A_commit_that_had_its_name_and_half_its_description_begins_anew_and_leaves_no_half()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            File.Move(file.PartialPath, _temp.File("vmcore.web.0"));
            File.WriteAllText(_temp.File("info.web.0"), "half");
            File.WriteAllText(_temp.File("key.web.0"), "half");
            File.WriteAllText(_temp.File(".info.web.0.01234567.tmp"), "half");
            File.WriteAllText(_temp.File(".dump.web.0.json.01234567.tmp"), "half");
            File.CreateSymbolicLink(_temp.File(".vmcore.web.last.01234567.tmp"), "vmcore.web.0");
        }

        AssertCommitsAnew(index: 0);
    }

    [Fact]
    public void What_another_process_wrote_of_the_same_index_stays()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            File.Move(file.PartialPath, _temp.File("vmcore.web.0"));
        }

        string[] theirs = ["info.web.0", "key.web.0", "vmcore_encrypted.web.0"];
        foreach (string name in theirs)
            File.WriteAllText(_temp.File(name), "precious");

        using var dump = Assert.Single(TakeOver()).File;

        Assert.True(File.Exists(dump.PartialPath));
        Assert.All(theirs, name => Assert.Equal("precious", _temp.Text(name)));
    }

    [Fact]
    public void Data_that_cannot_get_its_first_name_back_is_not_called_gone()
    {
        using (var file = BeginWhole(out _))
        {
            // Longer than a name may be.
            file.NoteCommitting(Names(0) with { Core = new('x', 300) });
            File.Move(file.PartialPath, _temp.File("vmcore.web.0"));
        }

        var problems = new List<string>();
        Assert.Empty(_directory.TakeOver(_directory.Root, problems.Add));

        Assert.Contains("cannot be renamed back to partial.", Assert.Single(problems), StringComparison.Ordinal);
        Assert.Contains("ENAMETOOLONG", problems[0], StringComparison.Ordinal);
        Assert.Contains("vmcore.web.0", _temp.Names);
    }

    [Fact]
    public void Killed_again_while_it_cleans_up_the_next_one_does()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            // The data has its partial name back already.
            File.WriteAllText(_temp.File("info.web.0"), "half");
        }

        AssertCommitsAnew(index: 0);
    }

    [Fact]
    public void A_manifest_that_a_crash_left_of_a_commit_that_was_taken_back_does_not_count()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            WriteManifest(file);
            File.WriteAllText(_temp.File("info.web.0"), "Dump complete");
        }

        AssertCommitsAnew(index: 0);
    }

    [Fact]
    public void A_manifest_that_a_crash_left_beside_another_dump_of_its_index_goes_alone()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            WriteManifest(file);
        }

        string[] theirs = ["info.web.0", "vmcore_encrypted.web.0"];
        foreach (string name in theirs)
            File.WriteAllText(_temp.File(name), "precious");

        using var dump = Assert.Single(TakeOver()).File;

        Assert.NotNull(dump);
        Assert.DoesNotContain("dump.web.0.json", _temp.Names);
        Assert.All(theirs, name => Assert.Equal("precious", _temp.Text(name)));
    }

    [Fact]
    public void Files_of_an_index_that_became_another_dumps_stay()
    {
        using (var file = BeginWhole(out _))
            file.NoteCommitting(Names(0));
        using (var other = Dumps.Receive(_directory, Dumps.Pattern(10)))
        {
            _directory.Commit(other, Dumps.Complete(10), Dumps.Circumstances("web"));
            other.RemoveLedger();
        }

        AssertCommitsAnew(index: 1);
        Assert.Equal(Dumps.Pattern(10), File.ReadAllBytes(_temp.File("vmcore.web.0")));
        Assert.Contains("info.web.0", _temp.Names);
    }

    [Fact]
    public void Data_that_somebody_removed_is_not_replaced_by_another_dumps()
    {
        using (var file = BeginWhole(out _))
        {
            file.NoteCommitting(Names(0));
            File.Delete(file.PartialPath);
        }

        using (var other = Dumps.Receive(_directory, Dumps.Pattern(10)))
        {
            _directory.Commit(other, Dumps.Complete(10), Dumps.Circumstances("web"));
            other.RemoveLedger();
        }

        var problems = new List<string>();
        Assert.Empty(_directory.TakeOver(_directory.Root, problems.Add));

        Assert.Contains("its data file is gone", Assert.Single(problems), StringComparison.Ordinal);
        Assert.Equal(Dumps.Pattern(10), File.ReadAllBytes(_temp.File("vmcore.web.0")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_dump_that_is_durable_only_has_its_FINISHED_answered(bool whole)
    {
        using (var file = BeginWhole(out var conversation))
            _directory.Commit(file, whole ? conversation.Finish() : conversation.End(EndReason.Superseded) with { Status = DumpStatus.Incomplete }, Dumps.Circumstances("web"));

        var dump = Assert.Single(TakeOver());

        Assert.Null(dump.Saved);
        Assert.Equal(whole, dump.IsWhole);
        dump.File.RemoveLedger();
        Assert.DoesNotContain(_temp.Names, name => name.StartsWith("partial.", StringComparison.Ordinal));
        Assert.Equal(2 * 4096, new FileInfo(_temp.File("vmcore.web.0")).Length);
    }

    [Fact]
    public void What_did_not_come_to_its_first_ack_goes_without_a_trace()
    {
        // Killed after the ledger was made, in mid-record, and after its records.
        string name = $"partial.10.0.2.7.{Dumps.NewIdentity().Id}";
        File.WriteAllBytes(_temp.File(name + ".ledger"), []);
        byte[] torn = new byte[LedgerFormat.FileHeaderBytes + 5];
        LedgerFormat.WriteFileHeader(torn);
        string second = $"partial.10.0.2.8.{Dumps.NewIdentity().Id}";
        File.WriteAllBytes(_temp.File(second + ".ledger"), torn);
        File.WriteAllBytes(_temp.File(second), []);
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
            File.Delete(file.PartialPath);

        Assert.Empty(TakeOver());

        Assert.Empty(_temp.Names);
    }

    [Fact]
    public void Data_without_a_word_about_it_is_told_of_and_stays()
    {
        string name = $"partial.10.0.2.7.{Dumps.NewIdentity().Id}";
        File.WriteAllBytes(_temp.File(name + ".ledger"), []);
        File.WriteAllBytes(_temp.File(name), [1]);
        var problems = new List<string>();

        Assert.Empty(_directory.TakeOver(_directory.Root, problems.Add));

        Assert.Contains("does not say whose dump it is", Assert.Single(problems), StringComparison.Ordinal);
        Assert.Equal(2, _temp.Names.Length);
    }

    [Fact]
    public void After_a_crash_of_the_machine_only_the_checkpoint_counts()
    {
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            var before = new Conversation(file, new(new(), 1, 0));
            before.SendPage(0);
            before.SendPage(8192);
            byte[] state = new byte[DumpSession.StateBytes];
            before.Session.Save(state);
            Assert.True(file.Checkpoint(state, before.Session.CoveredRanges));
            before.SendPage(4096);
            before.SendPage(3 * 4096);
            before.SendHeader(4 * 4096);
        }

        SetOtherBoot();
        // Twice: what the first process of this boot wrote down does not claim more either.
        for (int start = 0; start < 2; start++)
        {
            var dump = Assert.Single(TakeOver());
            using (dump.File)
            {
                Assert.Equal(start == 0, dump.MachineCrashed);
                var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
                Assert.Equal([new(0, 4096), new(8192, 12288)], session.CoveredRanges.ToArray());
                session.End(EndReason.MachineCrashed);
                var summary = session.Summary!;
                Assert.Equal(DumpStatus.Incomplete, summary.Status);
                Assert.Equal([new(4096, 8192), new(12288, 16384)], summary.Unverified);
                Assert.Equal((8192UL, 2), (summary.UnverifiedBytes, summary.UnverifiedRanges));
                if (start == 0)
                    continue;
                var manifest = _directory.Commit(dump.File, summary, Dumps.Circumstances("web")).Manifest;
                Assert.Equal([new(4096, 8192), new(12288, 16384)], manifest.Unverified);
                Assert.Equal((8192UL, 2), (manifest.UnverifiedBytes, manifest.UnverifiedRanges));
                Assert.Contains("  Unverified: 4096-8191 (4096 bytes)\n", _temp.Text("info.web.0"), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void A_file_that_lost_its_end_in_the_same_boot_is_believed_no_more_than_after_a_crash()
    {
        string path;
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            path = file.PartialPath;
            var before = new Conversation(file, new(new(), 1, 0), savesAlways: true);
            for (ulong page = 0; page < 4; page++)
                before.SendPage(page * 4096);
        }

        // The device went away and came back with the ledger and without all of the data.
        using (var cut = File.OpenWrite(path))
            cut.SetLength((4 * 4096) - 1);
        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.True(dump.MachineCrashed);
            var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
            Assert.Equal(0UL, session.CoveredBytes);
            var after = new Conversation(dump.File, session);
            after.SendPageAt(10, 4 * 4096);
            after.SendHeader(5 * 4096);
            Assert.Equal((DumpStatus.Incomplete, 4UL * 4096), (after.Finish().Status, after.Session.Summary!.MissingBytes));
        }
    }

    /// <summary>What lies beyond the policy's bytes is acked and not written, and its end is no measure of the file.</summary>
    [Fact]
    public void A_dump_cut_by_policy_with_a_gap_below_the_cut_has_lost_nothing()
    {
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            var before = new Conversation(file, new(new(), 1, 0), savesAlways: true);
            before.Session.Keep(2 * 4096, "head:8192");
            before.SendPage(0);
            before.SendPage(4 * 4096);
        }

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.False(dump.MachineCrashed);
            Assert.Equal([new(0, 4096), new(4 * 4096, 5 * 4096)], DumpSession.Restore(new(), dump.Saved!, nowUs: 0).CoveredRanges.ToArray());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_dump_whose_commit_was_killed_after_it_cut_the_file_is_as_whole_as_before(bool savesAlways)
    {
        const ulong Length = (4 * 4096) - 1000;
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
        {
            var before = new Conversation(file, new(new(), 1, 0), savesAlways);
            before.SendHeader(Length);
            for (ulong page = 0; page < 4; page++)
                before.SendPage(page * 4096);
            var summary = before.Finish();
            Assert.Equal(DumpStatus.Complete, summary.Status);
            file.Settle((long)summary.LengthBytes, summary.KeptBytes);
        }

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.False(dump.MachineCrashed);
            var after = new Conversation(dump.File, DumpSession.Restore(new(), dump.Saved!, nowUs: 0));
            var whole = after.Finish();
            Assert.Equal((DumpStatus.Complete, 0UL), (whole.Status, whole.MissingBytes));
            _directory.Commit(dump.File, whole, Dumps.Circumstances("web"));
            // So nothing that fails later takes the commit back.
            Assert.False(dump.File.IsThere());
        }
    }

    [Fact]
    public void After_a_crash_of_the_machine_before_any_checkpoint_nothing_counts()
    {
        using (var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null))
            new Conversation(file, new(new(), 1, 0)).SendPage(0);
        SetOtherBoot();

        var dump = Assert.Single(TakeOver());
        using (dump.File)
        {
            Assert.Null(dump.Saved!.State);
            Assert.Empty(dump.Saved.Ranges);
            Assert.Equal(4096UL, dump.Saved.UnverifiedEnd);
        }
    }

    [Fact]
    public void What_was_durable_before_the_machine_crashed_leaves_no_ledger()
    {
        using (var file = BeginWhole(out var conversation))
            _directory.Commit(file, conversation.Finish(), Dumps.Circumstances("web"));
        SetOtherBoot();

        Assert.Empty(TakeOver());

        Assert.DoesNotContain(_temp.Names, name => name.StartsWith("partial.", StringComparison.Ordinal));
    }

    private IReadOnlyList<InterruptedDump> TakeOver()
    {
        var problems = new List<string>();
        var dumps = _directory.TakeOver(_directory.Root, problems.Add);
        Assert.Empty(problems);
        return dumps;
    }

    /// <summary>A dump of which only FINISHED has not come.</summary>
    private DumpFile BeginWhole(out Conversation conversation)
    {
        var file = _directory.Create(Dumps.NewIdentity(), s_endpoint, null);
        conversation = new(file, new(new(), 1, 0));
        conversation.SendPage(0);
        conversation.SendPage(4096);
        conversation.SendHeader(8192);
        return file;
    }

    private void WriteManifest(DumpFile file) => ManifestFile.Write(
        _temp.File("dump.web.0.json"), Manifest.Of(file.Identity, Names(0), Dumps.Complete(8192), Dumps.Circumstances("web"), lengthBytes: 8192));

    private static CoreNames Names(long index) => new() { Host = "web", Index = index, Core = $"vmcore.web.{index}" };

    private void AssertCommitsAnew(long index)
    {
        var dump = Assert.Single(TakeOver());
        var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
        Assert.Null(session.OnMessage(new(MessageType.Finished, 100, 0, 0), [], 0, 0));
        session.OnStored(0);
        var committed = _directory.Commit(dump.File, session.Summary!, Dumps.Circumstances("web"));
        dump.File.RemoveLedger();

        Assert.Equal((DumpStatus.Complete, index), (committed.Manifest.Status, committed.Manifest.Index));
        Assert.Equal([.. Conversation.Page(0), .. Conversation.Page(4096)], File.ReadAllBytes(_temp.File(committed.CoreFile)));
        Assert.DoesNotContain(_temp.Names, name => name.StartsWith('.') || name.StartsWith("partial.", StringComparison.Ordinal));
        Assert.Equal(index + 1, _temp.Names.Count(name => name.StartsWith("info.web.", StringComparison.Ordinal) && name != "info.web.last"));
        Assert.DoesNotContain("key.web.0", _temp.Names);
    }

    /// <summary>As if the machine had been started anew since.</summary>
    private void SetOtherBoot()
    {
        string path = _temp.File(_temp.Names.Single(name => name.EndsWith(".ledger", StringComparison.Ordinal)));
        byte[] ledger = File.ReadAllBytes(path);
        const int BootIdAt = 4 + 8;
        var record = ledger.AsSpan(LedgerFormat.FileHeaderBytes);
        int length = BitConverter.ToInt32(record);
        record[LedgerFormat.RecordHeaderBytes + BootIdAt] ^= 0xff;
        LedgerFormat.WriteRecordHeader(record, LedgerRecordType.Opened, [], record.Slice(LedgerFormat.RecordHeaderBytes, length));
        File.WriteAllBytes(path, ledger);
    }

    private static void FlipByte(string path, int at)
    {
        byte[] bytes = File.ReadAllBytes(path);
        bytes[at] ^= 1;
        File.WriteAllBytes(path, bytes);
    }
}
