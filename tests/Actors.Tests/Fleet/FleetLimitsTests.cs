using NetdumpCollector.Actors.Fleet;

namespace NetdumpCollector.Actors.Tests.Fleet;

public sealed class FleetLimitsTests
{
    [Theory]
    [InlineData(null, 1000, 1000, true)]
    [InlineData(10, 4, 6, true)]
    [InlineData(10, 5, 6, false)]
    [InlineData(10, int.MaxValue, int.MaxValue, false)]
    [InlineData(10, 11, null, true)]
    public void So_many_run_on_all_nodes_and_while_nobody_knows_nothing_is_refused(int? most, int here, int? elsewhere, bool isAllowed) =>
        Assert.Equal(isAllowed, new FleetLimits(most) { Elsewhere = elsewhere }.Allow(here));
}
