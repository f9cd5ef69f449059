using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace NetdumpCollector.EndToEnd.Tests.Otlp;

/// <summary>What a server that stops exports last, for which it gives a tenth of a second.</summary>
[UnsupportedOSPlatform("windows")]
[Collection(AloneTests.Name)]
public sealed class OtlpAtTheEndTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task A_dump_that_is_running_when_the_server_stops_leaves_what_there_is_of_its_trace()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        // Nothing is exported by time alone.
        await using var collector = await Collector.StartInAsync([.. receiver.Environment, "OTEL_BSP_SCHEDULE_DELAY=60000"], _temp.File("dumps"));
        await OtlpTests.HeardAsync(receiver);
        using var client = new PatientClient(Collector.NewClientAddresses(), collector.Address, collector.Port, RandomNumberGenerator.GetBytes(100_000), payloadBytes: 1448);
        for (int packet = 0; packet < 20; packet++)
            client.SendUntilAcked(packet);

        await collector.StopAsync();

        var root = Assert.Single(receiver.Spans, span => span.Name == "dump");
        Assert.Equal("interrupted", root.Attributes["netdump.dump.status"]);
        Assert.Equal("interrupted", Assert.Single(receiver.Spans, span => span.Name == "transfer").Events[^1].Name);
        Assert.Contains(receiver.Logs, log => log.Words == "Shutting down...");
    }
}
