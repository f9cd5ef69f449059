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
