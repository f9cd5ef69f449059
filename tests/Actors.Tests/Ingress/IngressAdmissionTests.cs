using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Tests.Ingress;

[UnsupportedOSPlatform("windows")]
public sealed class IngressAdmissionTests
{
    private static readonly TestDump s_dump = new(100_000);

    [Theory, EveryEndpoint]
    public async Task A_source_that_is_not_allowed_gets_silence_whatever_it_sends(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Admission = new() { Denied = new([new(Ipv4.Loopback, 8)]) } });
        var client = collector.NewClient();

        client.SendHeraldOnce();
        client.Send(TestDump.Message(MessageType.Vmcore, 2, 0, new byte[100]), collector.HeraldPort);
        client.Send(TestDump.Message((MessageType)77, 1, 0, []), collector.HeraldPort);
        client.Send([1, 2, 3], collector.HeraldPort);

        await collector.Rejected(RejectReason.NotAllowed, 4);
        Assert.Equal((1, 1), (collector.Metrics.HeraldsBy(HeraldResult.Refused), collector.Metrics.Heralds));
        Assert.Equal(0, client.CountAcks(seqno: 1));
        Assert.Empty(Directory.EnumerateFileSystemEntries(collector.Root));
        foreach (var reason in Enum.GetValues<RejectReason>().Where(reason => reason != RejectReason.NotAllowed))
            Assert.Equal(0, collector.Metrics.Rejected(reason));
    }

    [Theory, EveryEndpoint]
    public async Task Only_allowed_sources_are_served(string transport, EndpointMode mode)
    {
        var allowed = RunningCollector.NextAddress();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Admission = new() { Allowed = new([new(allowed, 32)]) } });
        using var client = new WireClient(allowed, collector.ClientPort, collector.ServerAddress, collector.HeraldPort);
        var other = collector.NewClient();

        other.SendHeraldOnce();
        client.SendDump(s_dump);

        await collector.AssertComplete(client, s_dump);
        await collector.Rejected(RejectReason.NotAllowed, 1);
        Assert.Equal(0, other.CountAcks(seqno: 1));
    }

    [Theory, EveryEndpoint]
    public async Task A_source_with_too_many_dumps_has_to_wait_and_others_do_not(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Admission = new() { DumpsPerSource = 2 } });
        var client = collector.NewClient();
        client.SendDump(s_dump);
        await collector.DumpsOf(client, 1);
        client.Reboot();
        client.SendDump(s_dump);
        await collector.DumpsOf(client, 2);

        client.Reboot();
        client.SendHeraldOnce();
        await collector.Rejected(RejectReason.TooManyFromSource, 1);

        Assert.Equal(0, client.CountAcks(seqno: 1));
        var other = collector.NewClient();
        other.SendDump(s_dump);
        await collector.AssertComplete(other, s_dump);
    }

    [Theory, EveryEndpoint]
    public async Task A_network_with_too_many_dumps_has_to_wait(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Admission = new() { DumpsPerSource = 1, DumpsPerNetwork = 2 } });
        // Three in the same /24.
        while ((RunningCollector.NextAddress().Value & 0xff) > 200)
        {
        }

        WireClient[] clients = [collector.NewClient(), collector.NewClient(), collector.NewClient()];
        clients[0].SendDump(s_dump);
        clients[1].SendDump(s_dump);

        clients[2].SendHeraldOnce();
        await collector.Rejected(RejectReason.TooManyFromNetwork, 1);

        Assert.Equal(0, clients[2].CountAcks(seqno: 1));
        await collector.AssertComplete(clients[0], s_dump);
        await collector.AssertComplete(clients[1], s_dump);
    }

    [Theory, EveryEndpoint]
    public async Task Heralds_without_data_use_up_no_share(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = mode,
            Loops = 1,
            MaxHalfOpen = 1,
            Admission = new() { DumpsPerSource = 1, DumpsPerNetwork = 1 },
        });
        var client = collector.NewClient();
        var other = collector.NewClient();
        for (int i = 0; i < 5; i++)
        {
            client.Reboot();
            client.Herald();
            other.Reboot();
            other.Herald();
        }

        client.Reboot();
        client.SendDump(s_dump);

        await collector.AssertComplete(client, s_dump);
        Assert.Equal(0, collector.Metrics.Rejected(RejectReason.TooManyFromSource) + collector.Metrics.Rejected(RejectReason.TooManyFromNetwork));
    }

    [Theory, EveryTransport]
    public async Task Beyond_a_bound_heralds_are_answered_from_the_herald_port_until_data_comes(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Admission = new() { MaxHalfOpenEndpoints = 2 } });
        WireClient[] clients = [collector.NewClient(), collector.NewClient(), collector.NewClient(), collector.NewClient()];
        clients[0].Herald();
        clients[1].Herald();
        clients[2].Herald();
        Assert.NotEqual(collector.HeraldPort, clients[0].SessionPort);
        Assert.NotEqual(collector.HeraldPort, clients[1].SessionPort);
        Assert.Equal(collector.HeraldPort, clients[2].SessionPort);

        clients[0].SendBurst(s_dump);
        clients[3].Herald();
        Assert.NotEqual(collector.HeraldPort, clients[3].SessionPort);

        foreach (var client in clients)
        {
            client.SendRest(s_dump);
            client.Finish();
            await collector.AssertComplete(client, s_dump);
        }
    }

    [Theory, EveryTransport]
    public async Task A_new_panic_of_a_host_that_is_dumping_gets_a_port_however_many_heralds_wait(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Admission = new() { MaxHalfOpenEndpoints = 1 } });
        var client = collector.NewClient();
        client.Herald();
        client.SendBurst(s_dump);
        collector.NewClient().Herald();

        client.Reboot();
        client.SendDump(s_dump);

        Assert.NotEqual(collector.HeraldPort, client.SessionPort);
        Assert.Single(await collector.DumpsOf(client, 2), dump => dump.Manifest.Status == DumpStatus.Complete);
    }

    [Theory, EveryEndpoint]
    public async Task Heralds_that_nothing_follows_leave_no_file_no_script_and_no_descriptor(string transport, EndpointMode mode)
    {
        string ran = Path.Combine(Path.GetTempPath(), $"netdump-script-{Guid.NewGuid():N}");
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = mode,
            Sessions = new() { HalfOpenTimeoutUs = 1_000_000 },
            Script = $"echo ran >>{ran}",
            Admission = new() { MaxHalfOpenEndpoints = 50 },
        });
        int sockets = collector.OpenSockets();
        for (int i = 0; i < 200; i++)
        {
            using var spoofed = collector.NewClient();
            spoofed.Herald();
        }

        Assert.InRange(collector.OpenSockets(), sockets, sockets + 50);
        await Eventually.Holds(() => collector.OpenSockets() == sockets, "only the herald sockets are left");
        Assert.Empty(Directory.EnumerateFileSystemEntries(collector.Root));
        Assert.Equal((0, 0, 0), (collector.Metrics.Receiving, collector.Metrics.Complete, collector.Metrics.NotComplete));

        // The room they had is free again, and the script runs for this dump only.
        var client = collector.NewClient();
        client.SendDump(s_dump);
        await collector.AssertComplete(client, s_dump);
        Assert.Equal(mode == EndpointMode.Shared, client.SessionPort == collector.HeraldPort);
        await Eventually.Holds(() => collector.Dumps is [{ Manifest.Script.ExitCode: 0 }], "the script ran");
        Assert.Equal(["ran"], File.ReadAllLines(ran));
        File.Delete(ran);
    }
}
