using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Ingress;

[UnsupportedOSPlatform("windows")]
public sealed class ForwardingTests
{
    private const int Loops = 2;

    [LinuxTheory]
    [InlineData(EndpointMode.Ephemeral)]
    [InlineData(EndpointMode.Shared)]
    public async Task Packets_that_come_to_the_wrong_loop_find_their_session(EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = "linux", Mode = mode, Loops = Loops, CrossesLoops = true });
        var clients = ClientsOfEachLoop(collector, perLoop: 3);
        var dumps = clients.Select((_, i) => new TestDump(299_008 + 1000 * i, seed: i + 1)).ToArray();

        // On threads of their own: clients block, and other tests need the pool.
        await Task.WhenAll(clients.Select((client, i) =>
            Task.Factory.StartNew(() => client.SendDump(dumps[i]), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        for (int i = 0; i < clients.Count; i++)
            Assert.Equal(mode == EndpointMode.Shared ? "shared" : "ephemeral", (await collector.AssertComplete(clients[i], dumps[i])).Endpoint.Mode);
        Assert.Equal(0, collector.HeraldSteering.Right);
        long perClient = mode == EndpointMode.Shared ? 200 : 1;
        Assert.InRange(collector.HeraldSteering.Wrong, clients.Count * perClient, long.MaxValue);
    }

    private static List<WireClient> ClientsOfEachLoop(RunningCollector collector, int perLoop)
    {
        var clients = new List<WireClient>();
        int[] counts = new int[Loops];
        while (counts.Min() < perLoop)
        {
            var client = collector.NewClient();
            counts[SourceShards.ShardOf(client.Address, Loops)]++;
            clients.Add(client);
        }

        return clients;
    }
}
