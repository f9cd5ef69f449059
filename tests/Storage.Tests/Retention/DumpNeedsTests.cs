using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class DumpNeedsTests : IDisposable
{
    private static readonly RetentionPolicy s_strictest = new() { MaxAge = TimeSpan.FromSeconds(1), MaxPerHost = 1, MaxTotalBytes = 1 };

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void What_is_to_be_in_a_store_and_is_not_is_never_planned_to_go() => Prop.ForAll(
        Gen.Choose(0, 1).ArrayOf(6).Zip(Gen.Choose(0, 1)).ToArbitrary(),
        choice =>
        {
            var (stored, hasStore) = (choice.Item1, choice.Item2 == 1);
            using var temp = new TempDirectory();
            for (int i = 0; i < stored.Length; i++)
                Store(StoredDumps.Write(temp.Path, "web", i, daysOld: 10 - i), stored[i] == 1);
            var all = RetentionCandidate.Of(DumpCatalog.Read(temp.Path), StoredDumps.Now, new(TimeSpan.Zero, hasStore));
            var going = RetentionPlanner.Plan(all, s_strictest, StoredDumps.Now).Concat(RetentionPlanner.PlanRoom(all, _ => true, 1)).Select(removal => removal.Candidate.Dump.Manifest.Index).ToHashSet();
            // The newest complete one stays in any case.
            var expected = Enumerable.Range(0, stored.Length - 1).Where(i => !hasStore || stored[i] == 1).Select(i => (long)i);
            return going.SetEquals(expected);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(30));

    [Fact]
    public void It_is_asked_again_right_before_a_dump_goes()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0, daysOld: 3);
        StoredDumps.Write(_temp.Path, "web", 1, daysOld: 1);
        var without = RetentionPlanner.Plan(RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero)), s_strictest, StoredDumps.Now);
        Assert.Single(without);

        Assert.False(Assert.Single(DumpRetention.Carry(without, StoredDumps.Now, new(TimeSpan.Zero, Store: true))).IsRemoved);
        Store(dump, isStored: true);
        Assert.True(Assert.Single(DumpRetention.Carry(without, StoredDumps.Now, new(TimeSpan.Zero, Store: true))).IsRemoved);
        Assert.False(File.Exists(dump.VmcorePath));
    }

    [Theory]
    [InlineData("part", false, true)]
    [InlineData("first", false, false)]
    [InlineData("first", true, true)]
    [InlineData("within", true, false)]
    [InlineData("late", true, false)]
    [InlineData("complete", true, false)]
    public void What_a_whole_dump_may_still_be_made_of_is_never_planned_to_go_nor_deleted(string what, bool hasParts, bool stays)
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0, daysOld: 3);
        StoredDumps.Write(_temp.Path, "web", 1, daysOld: 1);
        var stale = RetentionPlanner.Plan(RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero)), s_strictest, StoredDumps.Now);
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with
        {
            Status = what == "complete" ? DumpStatus.Complete : DumpStatus.Incomplete,
            EndedAt = StoredDumps.Now - TimeSpan.FromHours(what == "late" ? 24 : 23),
            Continues = what == "first" ? null : new("20261121T013940Z-00000001", "a", 1),
            Within = what == "within" ? new("20261121T013940Z-00000002", "b") : null,
            // That it is in the store helps nobody who reads it here.
            Stored = new("s3://crashes/a/", StoredDumps.Now, "vmcore", StoreCompression.None, StoreEncryption.None, 100, new string('0', 64), "tag"),
        });
        var needs = new DumpNeeds(TimeSpan.Zero, Store: true, hasParts);

        var all = RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, needs);
        Assert.Equal(stays, !RetentionPlanner.Plan(all, s_strictest, StoredDumps.Now).Any(removal => removal.Candidate.Dump.Manifest.Index == 0));
        Assert.Equal(stays, !RetentionPlanner.PlanRoom(all, _ => true, 1).Any(removal => removal.Candidate.Dump.Manifest.Index == 0));
        // It was planned to go before it became that.
        Assert.Equal(stays, !Assert.Single(DumpRetention.Carry(stale, StoredDumps.Now, needs)).IsRemoved);
        Assert.Equal(stays, File.Exists(dump.VmcorePath));
    }

    [Fact]
    public void A_deletion_takes_what_is_known_of_the_upload_with_it()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0);
        string state = Path.Join(_temp.Path, UploadState.NameOf(dump.Manifest));
        File.WriteAllText(state, "{}");
        Assert.True(DumpRemoval.Remove(dump));
        Assert.False(File.Exists(state));
    }

    private static void Store(CatalogedDump dump, bool isStored)
    {
        if (isStored)
            ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Stored = new("s3://crashes/a/", StoredDumps.Now, "vmcore", StoreCompression.None, StoreEncryption.None, 100, new string('0', 64), "tag") });
    }
}
