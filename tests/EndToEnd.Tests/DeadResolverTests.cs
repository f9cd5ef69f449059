using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Dumps while the machine's name server answers nobody.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DeadResolverTests : IDisposable
{
    /// <summary>No packet waits for a name; one that is sent again would take a second.</summary>
    private const double LongestBurstUs = 1_000_000;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>More dumps at once than lookups may run at once, and a long one.</summary>
    [DeadResolverTheory]
    [InlineData("ephemeral", 40, 512)]
    [InlineData("shared", 40, 512)]
    [InlineData("ephemeral", 1, 65536)]
    [InlineData("shared", 1, 65536)]
    public async Task Dumps_complete_under_their_addresses_and_no_packet_waits(string endpoint, int clients, int kib)
    {
        using var resolver = new DeadResolver(Collector.NewServerAddress());
        await using var collector = await Collector.StartAmongAsync(resolver.Files, Collector.NewServerAddress(), _temp.File("dumps"), "--endpoint", endpoint);
        var first = Collector.NewClientAddresses();

        var result = (await Ndblast.RunAsync(collector, first, "-n", $"{clients}", "-s", $"{kib}K")).Expect(0);

        Assert.True(resolver.WasAsked);
        if (clients == 1)
        {
            using var summary = JsonDocument.Parse(result.Output);
            Assert.InRange(summary.RootElement.GetProperty("ack_max_us").GetDouble(), 0, LongestBurstUs);
        }

        foreach (var dump in await collector.HashedDumpsAsync(clients))
        {
            Assert.True(Ipv4.TryParse(dump.Manifest.Client, out var client));
            Assert.Equal((DumpStatus.Complete, dump.Manifest.Client), (dump.Manifest.Status, dump.Manifest.Host));
            Assert.Equal(Ndblast.HashOf(client.Value - first.Value, kib), dump.Manifest.Sha256);
        }

        // Threads that still wait for an answer hold nothing up.
        await collector.StopAsync();
    }
}

/// <summary>A theory that needs ndblast, and the rights to mount and to have a name server's port.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class DeadResolverTheoryAttribute : TheoryAttribute
{
    public DeadResolverTheoryAttribute()
    {
        if (!Actors.Tests.TinyFileSystem.IsAvailable)
            Skip = "needs to mount and to listen on port 53, which takes root";
        else if (!Ndblast.HasCompiler && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "gcc is needed to compile bench/tools/ndblast.c";
    }
}
