using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>What many owners stored becomes one file.</summary>
public sealed class SegmentJoinTests
{
    private const int UnitBytes = 100;
    private const int Units = 60;

    /// <summary>An owner's writes: where, and how long, in units.</summary>
    private static readonly Gen<(int Start, int Count)[]> s_owner = Gen.ArrayOf(
        from start in Gen.Choose(0, Units - 1)
        from count in Gen.Choose(1, 12)
        select (start, Math.Min(count, Units - start)));

    private static readonly Gen<(int Start, int Count)[][]> s_owners =
        from owners in Gen.ListOf(s_owner)
        where owners.Any(owner => owner.Length > 0)
        select owners.Take(8).ToArray();

    [Fact]
    public void The_joined_file_is_the_union_in_which_the_latest_owner_wins_and_its_holes_are_told() =>
        Prop.ForAll(s_owners.ToArbitrary(), owners =>
        {
            using var temp = TempDirectory.InMemory();
            byte[] model = new byte[Units * UnitBytes];
            var covered = new Coverage();
            var directories = new List<DumpDirectory>();
            DumpFile? file = null;
            for (int i = 0; i < owners.Length; i++)
            {
                var directory = DumpDirectory.Open(temp.Path, null);
                directory.Sharing = new($"n{i}");
                directories.Add(directory);
                var former = file;
                file = i == 0
                    ? directory.Create(Dumps.NewIdentity(), new(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1), null)
                    : Assert.Single(directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail)).File;
                Store(file, owners[i], (byte)(i + 1), model, covered);
                AssertReads(file, model, covered);
                former?.Dispose();
            }

            ByteRange[] holes = [.. covered.Missing(covered.End)];
            var summary = Dumps.TimedOut(covered.End) with
            {
                CoveredBytes = covered.CoveredBytes,
                Missing = holes,
                MissingBytes = covered.End - covered.CoveredBytes,
                MissingRanges = holes.Length,
            };
            var committed = directories[^1].Commit(file!, summary, Dumps.Circumstances("web"), () => Assert.Fail("an incomplete dump is not acked"));

            Assert.Equal(model[..(int)covered.End], File.ReadAllBytes(Path.Join(temp.Path, committed.CoreFile)));
            Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut, covered.End), (committed.Manifest.Status, committed.Manifest.Reason, committed.Manifest.Bytes));
            Assert.Equal(holes, committed.Manifest.Missing);
            if (owners.Length > 1)
                Assert.Equal(BytesByOwner(model, owners.Length), committed.Manifest.Segments!.ToDictionary(segment => segment.Epoch, segment => segment.Bytes));
            file!.CloseData();
            file.RemoveLedger();
            Assert.DoesNotContain(temp.Names, name => name.StartsWith("partial.", StringComparison.Ordinal));
            directories.ForEach(directory => directory.Dispose());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Ranges_are_subtracted_and_met_as_bits_are()
    {
        var bits = Gen.ArrayOf(Gen.Elements(true, false), 40);
        Prop.ForAll(Gen.Zip(bits, bits).ToArbitrary(), sets =>
        {
            var (first, second) = (RangesOf(sets.Item1), RangesOf(sets.Item2));
            Assert.Equal(RangesOf([.. sets.Item1.Zip(sets.Item2, (a, b) => a && !b)]), RangeList.ToCoverage(RangeList.Except(first, second)).Ranges.ToArray());
            Assert.Equal(RangesOf([.. sets.Item1.Zip(sets.Item2, (a, b) => a && b)]), RangeList.ToCoverage(RangeList.Common(first, second)).Ranges.ToArray());
            for (ulong at = 0; at < 40; at++)
                Assert.Equal(first.Count(range => range.End <= at), RangeList.IndexAt(first, at));
        }).QuickCheckThrowOnFailure();
    }

    [TinyFileSystemTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_full_disk_keeps_segments_and_promise_until_there_is_room(bool byAnotherNode)
    {
        const int Pages = 100;
        using var disk = new TinyFileSystem("size=1m");
        var client = new SharedClient(Pages);
        using var first = new SharedNode(disk.Path, "first").Begin();
        using var heir = new SharedNode(disk.Path, "heir");
        Assert.True(client.Send(first, bursts: Pages - 20));
        Assert.True(client.Send(heir, bursts: 21));
        byte[] ballast = new byte[4096];
        using (var file = File.Create(Path.Join(disk.Path, "ballast")))
        {
            // Room for the small files, not for a second copy of what the first node has.
            for (long i = new DriveInfo(disk.Path).AvailableFreeSpace / ballast.Length - 30; i > 0; i--)
                file.Write(ballast);
        }

        Assert.True(client.Send(heir), "it is durable in its segments, and every node knows what is to be done");

        Assert.Contains(heir.Problems, problem => problem.Contains("ENOSPC", StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.GetFiles(disk.Path), path => path.EndsWith(".json", StringComparison.Ordinal));
        disk.Remount("size=4m");
        if (byAnotherNode)
        {
            using var other = new SharedNode(disk.Path, "other");
            var finished = Assert.Single(other.Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));
            Assert.Equal(DumpStatus.Complete, finished.Committed!.Manifest.Status);
            finished.File.RemoveLedger();
        }
        else
        {
            Assert.True(heir.CommitAgain());
            heir.Linger();
        }

        Assert.Equal(client.Content, File.ReadAllBytes(Path.Join(disk.Path, "vmcore.web.0")));
        Assert.Equal(DumpStatus.Complete, ManifestFile.Read(Path.Join(disk.Path, "dump.web.0.json")).Status);
        Assert.DoesNotContain(Directory.GetFileSystemEntries(disk.Path), path => Path.GetFileName(path).StartsWith("partial.", StringComparison.Ordinal));
    }

    [Fact]
    public void Copying_through_memory_is_as_good_as_by_the_file_system()
    {
        using var temp = new TempDirectory();
        byte[] content = Dumps.Pattern((3 << 20) + 17);
        File.WriteAllBytes(temp.File("from"), content);
        using var from = File.OpenHandle(temp.File("from"));
        foreach (var copy in (Func<ByteRange, Microsoft.Win32.SafeHandles.SafeFileHandle, string?>[])[(range, to) => SegmentCopy.Copy(from, to, range), (range, to) => SegmentCopy.CopyThrough(from, to, range)])
        {
            using var to = File.OpenHandle(temp.File("to"), FileMode.Create, FileAccess.ReadWrite);
            Assert.Null(copy(new(1000, 1000), to));
            Assert.Null(copy(new(5, (ulong)content.Length), to));
            byte[] copied = new byte[content.Length];
            Assert.Equal(copied.Length, RandomAccess.Read(to, copied, 0));
            Assert.Equal([0, 0, 0, 0, 0, .. content.AsSpan(5)], copied);
            Assert.Contains("ends at offset 0x300011, it had bytes up to 0x300012", copy(new(7, (ulong)content.Length + 1), to), StringComparison.Ordinal);
        }
    }

    private static void Store(DumpFile file, (int Start, int Count)[] writes, byte value, byte[] model, Coverage covered)
    {
        foreach (var (start, count) in writes)
        {
            byte[] bytes = [.. Enumerable.Repeat(value, count * UnitBytes)];
            Dumps.Write(file, (ulong)(start * UnitBytes), bytes);
            bytes.CopyTo(model, start * UnitBytes);
            covered.Add((ulong)(start * UnitBytes), (ulong)((start + count) * UnitBytes));
        }

        // As a session saves that has no run of bytes from 0 on.
        byte[] state = new byte[DumpSession.StateBytes];
        new DumpSession(new(), 1, 0).Save(state);
        Assert.True(file.TrySyncData(out _));
        Assert.True(file.AppendRanges(LedgerRecordType.Stored, covered.Ranges, out _));
        Assert.True(file.WriteState(state, out _));
        Assert.True(file.TrySyncLedger(out _));
    }

    private static void AssertReads(DumpFile file, byte[] model, Coverage covered)
    {
        Assert.Equal(model[..(int)covered.End], file.ReadBytes(new(0, (ulong)model.Length)));
        foreach (var range in covered.Ranges)
            Assert.True(file.Matches(range.Start, model.AsSpan((int)range.Start, (int)range.Length)));
    }

    private static Dictionary<int, ulong> BytesByOwner(byte[] model, int owners) =>
        Enumerable.Range(1, owners).Select(owner => (owner, Bytes: (ulong)model.Count(value => value == owner))).Where(its => its.Bytes > 0).ToDictionary(its => its.owner, its => its.Bytes);

    private static ByteRange[] RangesOf(bool[] bits)
    {
        var ranges = new Coverage();
        for (int i = 0; i < bits.Length; i++)
        {
            if (bits[i])
                ranges.Add((ulong)i, (ulong)i + 1);
        }

        return ranges.Ranges.ToArray();
    }
}
