namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class DumpRetentionTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly CatalogedDump[] _dumps;
    private readonly IReadOnlyList<Removal> _plan;

    public DumpRetentionTests()
    {
        _dumps = [.. Enumerable.Range(0, 3).Select(i => StoredDumps.Write(_temp.Path, "web", i, daysOld: 3 - i))];
        var all = RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero));
        _plan = RetentionPlanner.Plan(all, new() { MaxPerHost = 1 }, StoredDumps.Now);
    }

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void What_is_planned_goes()
    {
        Assert.All(Carry(), result => Assert.True(result.IsRemoved));
        Assert.Equal(["dump.web.2.json", "info.web.2", "info.web.last", "vmcore.web.2", "vmcore.web.last"], _temp.Names);
    }

    [Fact]
    public void A_dump_stays_that_is_its_hosts_only_complete_one_by_now()
    {
        Assert.True(DumpRemoval.Remove(_dumps[2]));
        AssertNothingGoes();
    }

    [Fact]
    public void A_dump_stays_when_the_vmcore_of_the_newer_one_has_been_moved_away()
    {
        File.Move(_dumps[2].VmcorePath, _temp.File("elsewhere"));
        AssertNothingGoes();
    }

    [Fact]
    public void A_dump_stays_that_is_in_use_by_now()
    {
        foreach (var dump in _dumps)
            File.WriteAllText(_temp.File(DumpRemoval.LedgerOf(dump.Manifest)), "");
        AssertNothingGoes();
    }

    [Fact]
    public void A_dump_stays_that_has_been_pinned_meanwhile()
    {
        foreach (var dump in _dumps)
            DumpPin.Set(dump, pinned: true);
        AssertNothingGoes();
    }

    private void AssertNothingGoes()
    {
        string[] before = _temp.Names;
        Assert.Equal([(false, null), (false, null)], Carry().Select(result => (result.IsRemoved, result.Error)));
        Assert.Equal(before, _temp.Names);
    }

    private RemovalResult[] Carry() => [.. DumpRetention.Carry(_plan, StoredDumps.Now, new(TimeSpan.Zero))];
}
