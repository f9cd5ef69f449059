using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Storage.Tests.Fleet;

public sealed class FleetSnapshotTests
{
    [Fact]
    public void Dumps_of_nodes_that_do_not_live_are_found_by_their_client()
    {
        var snapshot = new FleetSnapshot(
            [Node("live", FleetNodeState.Live), Node("dead", FleetNodeState.Dead), Node("left", FleetNodeState.Left)],
            [Session("1", "live", 1, 5000), Session("2", "dead", 1, 5001), Session("3", "left", 1, 5002), Session("4", "forgotten", 2, 5003)],
            []);

        Assert.Equal("2", snapshot.FindOrphan(new(1), 5001)?.DumpId);
        Assert.Equal("3", snapshot.FindOrphan(new(1), 5002)?.DumpId);
        Assert.Equal("4", snapshot.FindOrphan(new(2), 5003)?.DumpId);
        Assert.Null(snapshot.FindOrphan(new(1), 5000));
        Assert.Null(snapshot.FindOrphan(new(3), 5003));
        Assert.Equal(2, snapshot.OrphansOf(new(1)).Length);
    }

    [Fact]
    public void Of_several_dumps_of_a_client_the_last_one_is_found_by_no_nodes_clock_and_what_goes_on_with_it_names_the_first_part()
    {
        var later = Session("2", "dead", 1, 5000) with { StartedAt = DateTimeOffset.UnixEpoch.AddHours(-1), Continues = "0", Epoch = 2, SilentSeconds = 5 };
        var first = Session("0", "dead", 1, 5000) with { Epoch = 1, SilentSeconds = 4.5 };
        var snapshot = new FleetSnapshot([Node("dead", FleetNodeState.Dead)], [Session("1", "dead", 1, 5000) with { SilentSeconds = 30 }, first, later, Session("3", "dead", 1, 5000) with { SilentSeconds = 31 }], []);

        Assert.Equal(["2", "0", "1", "3"], snapshot.OrphansOf(new(1)).ToArray().Select(session => session.DumpId));
        Assert.Equal("2", snapshot.FindOrphan(new(1), 5000)?.DumpId);
        Assert.Equal(new("0", "dead", 2), later.ContinueElsewhere());
        Assert.Equal(new("1", "dead", 1), (Session("1", "dead", 1, 5000) with { Epoch = 1 }).ContinueElsewhere());
        Assert.True(later.IsAliveAfter(TimeSpan.FromSeconds(59)));
        Assert.False(later.IsAliveAfter(TimeSpan.FromSeconds(60)));
        Assert.False((later with { Phase = "ending" }).IsAliveAfter(TimeSpan.Zero));
    }

    private static FleetNode Node(string name, FleetNodeState state) => new(new(name, Guid.NewGuid(), Guid.NewGuid(), "0.0.0.0", 20023, null, "1", DateTimeOffset.UnixEpoch), state, TimeSpan.Zero, 0);

    private static FleetSession Session(string id, string node, uint client, ushort port) => new()
    {
        DumpId = id,
        Node = node,
        Client = new(client),
        ClientPort = port,
        Host = null,
        Endpoint = "shared",
        EndpointAddress = Ipv4.Loopback,
        EndpointPort = 20023,
        Path = "partial",
        Phase = "receiving",
        Epoch = 0,
        Bytes = 1,
        TotalBytes = null,
        ExpectedBytes = null,
        Packets = 1,
        Repeated = 0,
        SilentSeconds = 0,
        Error = null,
        StartedAt = DateTimeOffset.UnixEpoch,
    };
}
