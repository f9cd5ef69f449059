using System.Buffers.Binary;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Sessions;

[UnsupportedOSPlatform("windows")]
public sealed class KeepTests
{
    private const ulong StaleOffset = 900 << 20;

    [Theory, EveryEndpoint]
    public async Task The_head_of_a_dump_whose_first_burst_comes_at_a_stale_offset_is_cut_as_any_other(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Keep = KeepPolicy.Head(65536) });
        var client = collector.NewClient();
        var dump = new TestDump(700_001);

        client.Herald();
        SendFirstBurstAstray(client, dump);
        client.SendRest(dump);
        client.Finish();

        AssertCut(Assert.Single(collector.Dumps), dump, "head:65536", 65536);
    }

    [Theory, EveryEndpoint]
    public async Task A_dump_that_breaks_off_takes_no_place_among_the_whole_ones_and_the_next_is_cut(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Keep = KeepPolicy.Auto(1) });
        var dump = Minidump(2_500_001);
        var first = collector.NewClient();
        first.Herald();
        for (int burst = 0; burst < 5; burst++)
            first.SendBurst(dump);

        first.Reboot();
        first.SendDump(dump);
        var dumps = await collector.DumpsOf(first, 2);
        Assert.Equal([DumpStatus.Complete, DumpStatus.Incomplete], dumps.Select(d => d.Manifest.Status).Order());

        var second = collector.NewClient();
        second.Herald();
        SendFirstBurstAstray(second, dump);
        second.SendRest(dump);
        second.Finish();
        AssertCut(Assert.Single(await collector.DumpsOf(second, 1)), dump, "auto:1", KeepPolicy.AutoHeadBytes);
    }

    [Theory, EveryEndpoint]
    public async Task A_dump_cut_by_policy_that_breaks_off_ends_with_what_is_kept(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Keep = KeepPolicy.Head(65536) });
        var client = collector.NewClient();
        var dump = new TestDump(700_001);
        client.Herald();
        SendFirstBurstAstray(client, dump);
        for (int burst = 0; burst < 3; burst++)
            client.SendBurst(dump);

        client.Reboot();
        client.SendDump(dump);
        var broken = Assert.Single(await collector.DumpsOf(client, 2), d => d.Manifest.Status == DumpStatus.Incomplete);
        Assert.Equal("head:65536", broken.Manifest.TruncatedBy);
        Assert.Equal(65536, new FileInfo(broken.VmcorePath).Length);
        Assert.Contains($"): Superseded, stored 65536 of {65536 + broken.Manifest.MissingBytes} known bytes by policy head:65536", collector.Log.All, StringComparison.Ordinal);
    }

    private static void AssertCut(CatalogedDump cataloged, TestDump sent, string policy, long bytes)
    {
        var manifest = cataloged.Manifest;
        Assert.Equal((DumpStatus.Truncated, policy), (manifest.Status, manifest.TruncatedBy));
        Assert.Equal(((ulong)bytes, (ulong)(sent.Content.Length - bytes)), (manifest.CoveredBytes, manifest.MissingBytes));
        byte[] stored = File.ReadAllBytes(cataloged.VmcorePath);
        Assert.Equal(bytes, stored.Length);
        Assert.True(sent.Content.AsSpan(0, stored.Length).SequenceEqual(stored));
    }

    /// <summary>As a kernel does whose earlier netdump of the same ddb session broke off (protocol.md, kernel bug 3).</summary>
    private static void SendFirstBurstAstray(WireClient client, TestDump dump)
    {
        byte[][] burst = client.TakeBurst(dump);
        foreach (byte[] message in burst)
            BinaryPrimitives.WriteUInt64BigEndian(message.AsSpan(8), StaleOffset + BinaryPrimitives.ReadUInt64BigEndian(message.AsSpan(8)));
        client.SendUntilAcked(burst);
    }

    private static TestDump Minidump(int lengthBytes)
    {
        const int MessageBytes = 98304;
        var dump = new TestDump(lengthBytes);
        "minidump FreeBSD/amd64\0\0\x03\0\0\0"u8.CopyTo(dump.Content);
        BinaryPrimitives.WriteInt32LittleEndian(dump.Content.AsSpan(28), MessageBytes);
        dump.Content.AsSpan(4096, MessageBytes).Fill((byte)'\n');
        "panic: page fault"u8.CopyTo(dump.Content.AsSpan(50_000));
        return dump;
    }
}
