using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A server that acks each packet as it is stored must fail here, or the simulation proves nothing about ours.</summary>
public sealed class PerPacketAckTests
{
    private const int Runs = 200;

    private static Scenario Lossy(int seed) => new() { Seed = seed, Loss = LossLevel.Light, LossToServer = 0.02, LossToClient = 0.02 };

    /// <summary>100 Mbit/s and no loss at all.</summary>
    private static Scenario SlowNic(int seed) => new() { Seed = seed, NicBytesPerSecond = 12_500_000 };

    [Fact]
    public void Leaves_holes_in_complete_dumps_at_MTU_1500_with_loss() =>
        Assert.NotEqual(0, FalselyComplete(Lossy));

    [Fact]
    public void Leaves_holes_in_complete_dumps_without_loss_when_the_kernel_reuses_its_buffer_too_early()
    {
        int corrupted = 0;
        int holed = FalselyComplete(SlowNic, result => corrupted += result.Client.CorruptedInQueue > 0 ? 1 : 0);

        Assert.NotEqual(0, corrupted);
        Assert.NotEqual(0, holed);
    }

    [Fact]
    public void Is_safe_at_MTU_9000_because_nothing_aliases() =>
        Assert.Equal(0, FalselyComplete(seed => Lossy(seed) with { Mtu = 9000 }));

    [Fact]
    public void Is_safe_with_a_bitmap_of_64_bits_so_the_bitmap_is_what_bites() =>
        Assert.Equal(0, FalselyComplete(seed => Lossy(seed) with { AckBitmap = AckBitmap.Ideal64 }));

    [Fact]
    public void Our_server_is_complete_and_identical_in_the_same_runs()
    {
        var faults = FaultCoverage.Zero();
        for (int seed = 0; seed < Runs; seed++)
        {
            Assert.True(Simulation.RunCollector(Lossy(seed), faults) is { ServerSaysComplete: true, IsIdentical: true, ClientState: ClientState.Done });
            Assert.True(Simulation.RunCollector(SlowNic(seed), faults) is { ServerSaysComplete: true, IsIdentical: true, Client: { CorruptedInQueue: 0, RetransmitRounds: 0 } });
        }
    }

    private static int FalselyComplete(Func<int, Scenario> scenario, Action<RunResult>? observe = null)
    {
        int falselyComplete = 0;
        for (int seed = 0; seed < Runs; seed++)
        {
            var result = Simulation.RunNetdumpd(scenario(seed));
            observe?.Invoke(result);
            Assert.Equal(ClientState.Done, result.ClientState);
            if (result is { ServerSaysComplete: true, IsIdentical: false })
                falselyComplete++;
        }

        return falselyComplete;
    }
}
