using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Tests.Takeover;

/// <summary>Two nodes with one dump directory: what one has begun, the other goes on with where packets come to it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class TakeoverTests : IDisposable
{
    private const int LogWriteError = 1011;
    private const int LogTakenOver = 1160;

    private readonly string _root = Directory.CreateTempSubdirectory("netdump-takeover-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory, EveryTransport]
    public async Task A_dump_goes_on_at_another_node_and_becomes_one_file(string transport)
    {
        var dump = new TestDump(1_000_000);
        RunningCollector a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        for (int burst = 0; burst < 4; burst++)
            client.SendBurst(dump);
        await a.DisposeAsync();

        await using var b = await StartAsync(transport, "b", a);
        client.SendBurst(dump);
        Assert.Equal(1, b.Metrics.SessionsTakenOver);
        client.SendRest(dump);
        client.Finish();

        var manifest = await b.AssertComplete(client, dump);
        Assert.Equal(2, manifest.Epoch);
        Assert.Equal([1, 2], manifest.Segments!.Select(segment => segment.Epoch));
    }

    [Theory, EveryTransport]
    public async Task Nodes_that_take_turns_lose_nothing(string transport)
    {
        var dump = new TestDump(700_000);
        var node = await StartAsync(transport, "a");
        using var client = NewClient(node);
        client.Herald();
        for (int turn = 0; turn < 6; turn++)
        {
            client.SendBurst(dump);
            await node.DisposeAsync();
            node = await StartAsync(transport, turn % 2 == 0 ? "b" : "a", node);
        }

        client.SendRest(dump);
        await node.DisposeAsync();
        node = await StartAsync(transport, "c", node);
        client.Finish();
        await node.AssertComplete(client, dump);
        await node.DisposeAsync();
    }

    [Theory, EveryTransport]
    public async Task A_repeated_FINISHED_is_answered_by_another_node(string transport)
    {
        var dump = new TestDump(100_000);
        var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.SendDump(dump);
        byte[] finished = client.TakeFinished();
        await a.AssertComplete(client, dump);
        await a.DisposeAsync();

        await using var b = await StartAsync(transport, "b", a);
        int before = client.CountAcks(TestDump.SeqnoOf(finished));
        client.SendUntilAcked([finished]);

        Assert.Equal(before + 1, client.CountAcks(TestDump.SeqnoOf(finished)));
        Assert.Single(b.Dumps);
    }

    [Theory, EveryTransport]
    public async Task Who_was_superseded_acks_and_writes_nothing(string transport)
    {
        var dump = new TestDump(500_000);
        await using var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        client.SendBurst(dump);
        string segment = Assert.Single(Directory.EnumerateFiles(_root, "partial.*"), path => !path.EndsWith(".ledger", StringComparison.Ordinal));
        long length = new FileInfo(segment).Length;

        // Another node claims the dump while this one, paused or slow, knows nothing of it.
        using var directory = DumpDirectory.Open(_root, defaultPath: null);
        directory.Sharing = new("b");
        var claimed = Assert.Single(directory.TakeOverFlow(a.ServerAddress, client.Address, a.ClientPort, problem => Assert.Fail(problem)));
        claimed.File.Dispose();
        byte[][] burst = client.TakeBurst(dump);
        foreach (byte[] message in burst)
            client.Send(message);

        await a.Log.Line(LogTakenOver);
        Assert.Equal(0, burst.Sum(message => client.CountAcks(TestDump.SeqnoOf(message))));
        Assert.Equal(length, new FileInfo(segment).Length);
        Assert.Equal((0, 1), (a.Metrics.Receiving, a.Metrics.DumpsHandedOver));

        // Packets that come here again bring the dump back, and all that was acked by anyone is there.
        client.SendUntilAcked(burst);
        client.SendRest(dump);
        client.Finish();
        Assert.Equal(3, (await a.AssertComplete(client, dump)).Epoch);
    }

    [Theory, EveryTransport]
    public async Task Who_was_superseded_acks_nothing_that_time_releases(string transport)
    {
        var dump = new TestDump(500_000);
        await using var a = await StartAsync(transport, "a", sessions: new() { QuietPeriodUs = 500_000 });
        using var client = NewClient(a);
        client.Herald();
        client.SendBurst(dump);
        string segment = Assert.Single(Directory.EnumerateFiles(_root, "partial.*"), path => !path.EndsWith(".ledger", StringComparison.Ordinal));
        long length = new FileInfo(segment).Length;

        // Those of them that share no bit with a packet that is missing are acked when the burst goes quiet.
        byte[][] burst = client.TakeBurst(dump)[..30];
        foreach (byte[] message in burst)
            client.Send(message);
        await Eventually.Holds(() => new FileInfo(segment).Length >= length + burst.Length * TestDump.PayloadBytes, "the packets are stored");
        using var directory = DumpDirectory.Open(_root, defaultPath: null);
        directory.Sharing = new("b");
        var claimed = Assert.Single(directory.TakeOverFlow(a.ServerAddress, client.Address, a.ClientPort, problem => Assert.Fail(problem)));
        Assert.DoesNotContain(claimed.Saved!.Ranges, range => range.End > (ulong)length);
        claimed.File.Dispose();

        await a.Log.Line(LogTakenOver);
        await Eventually.Holds(() => a.Metrics.Receiving == 0, "the session is gone");
        Assert.Equal(0, burst.Sum(message => client.CountAcks(TestDump.SeqnoOf(message))));
    }

    /// <summary>The repeat is not acked before it can be compared, and is no damage.</summary>
    [Theory, EveryTransport]
    public async Task A_repeat_of_what_an_earlier_owner_has_waits_until_that_can_be_read(string transport)
    {
        var dump = new TestDump(300_000);
        var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        byte[][] burst = client.TakeBurst(dump);
        client.SendUntilAcked(burst);
        await a.DisposeAsync();
        string segment = Assert.Single(Directory.EnumerateFiles(_root, "partial.*"), path => !path.EndsWith(".ledger", StringComparison.Ordinal));
        File.Move(segment, Path.Join(_root, "away"));
        Directory.CreateDirectory(segment);

        await using var b = await StartAsync(transport, "b", a);
        int before = client.CountAcks(TestDump.SeqnoOf(burst[0]));
        client.Send(burst[0]);
        Assert.Contains("cannot be read: Is a directory (EISDIR)", await b.Log.Line(LogWriteError), StringComparison.Ordinal);
        Assert.Equal(before, client.CountAcks(TestDump.SeqnoOf(burst[0])));

        Directory.Delete(segment);
        File.Move(Path.Join(_root, "away"), segment);
        client.SendUntilAcked(burst);
        client.SendRest(dump);
        client.Finish();
        await b.AssertComplete(client, dump);
    }

    [Theory, EveryTransport]
    public async Task Packets_of_nobodys_session_are_refused_after_one_look(string transport)
    {
        await using var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Send(TestDump.Message(MessageType.Vmcore, 7, 0, new byte[1000]), a.HeraldPort);
        client.Send(TestDump.Message(MessageType.Finished, 8, 0, []), a.HeraldPort);

        await a.Rejected(RejectReason.NoSession, 2);
        Assert.Null(client.TryReceive(TimeSpan.Zero));
        Assert.Empty(a.Dumps);
    }

    [Theory, EveryTransport]
    public async Task A_storm_of_packets_of_nobodys_sessions_keeps_no_dump_from_going_on(string transport)
    {
        var dump = new TestDump(300_000);
        var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        client.SendBurst(dump);
        await a.DisposeAsync();

        await using var b = await StartAsync(transport, "b", a);
        using var storm = new JunkStorm(b.ServerAddress, b.HeraldPort, hosts: 500);
        await Eventually.Holds(() => b.Metrics.SeeksBy(SeekResult.Nothing) > 1000, "the storm is sought");
        long started = TimeProvider.System.GetTimestamp();
        client.SendBurst(dump);
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, TimeSpan.FromSeconds(5));
        Assert.Equal((1, 1), (b.Metrics.SessionsTakenOver, b.Metrics.SeeksBy(SeekResult.Found)));

        client.SendRest(dump);
        client.Finish();
        await b.AssertComplete(client, dump);
    }

    /// <summary>It would open no session whatever were found.</summary>
    [Theory, EveryTransport]
    public async Task A_herald_that_is_refused_is_not_sought(string transport)
    {
        await using var a = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = EndpointMode.Shared,
            Node = "a",
            Directory = _root,
            Admission = new() { DumpsPerSource = 1 },
        });
        using var client = NewClient(a);
        client.SendDump(new TestDump(10_000));
        long sought = a.Metrics.SeeksBy(SeekResult.Nothing);
        using var other = new WireClient(client.Address, (ushort)(a.ClientPort ^ 1), a.ServerAddress, a.HeraldPort);
        other.SendHeraldOnce();

        await a.Rejected(RejectReason.TooManyFromSource, 1);
        Assert.Equal(sought, a.Metrics.SeeksBy(SeekResult.Nothing));
    }

    /// <summary>A seek that takes longer than a dying host can wait finds, in the end, the herald that this node has answered meanwhile.</summary>
    [Theory, EveryTransport]
    public async Task A_herald_whose_session_is_here_opens_no_second_one(string transport)
    {
        var dump = new TestDump(100_000);
        await using var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        var ingress = a.Ingresses.Of(client.Address);
        var session = await TheOneSessionAsync();
        var endpoint = new DumpEndpoint(session.Local, session.Port, a.ClientPort, session.ClientPort, HeraldSeqno: 0);
        ingress.Tell(new IngressActor.ResumeHerald(new(RememberedHerald.Elsewhere, new(client.Address, endpoint, session.StartedAt, []))));
        Assert.Equal(session.StartedAt, (await TheOneSessionAsync()).StartedAt);

        client.SendRest(dump);
        client.Finish();
        await a.AssertComplete(client, dump);

        async Task<SessionStatus> TheOneSessionAsync() =>
            Assert.Single((await ingress.Ask<IngressStatus>(reply => new IngressActor.Look(reply), TimeSpan.FromSeconds(10))).Sessions);
    }

    private Task<RunningCollector> StartAsync(string transport, string node, RunningCollector? inPlaceOf = null, SessionOptions? sessions = null) => RunningCollector.StartAsync(new()
    {
        Sessions = sessions ?? new(),
        Transport = transport,
        Mode = EndpointMode.Shared,
        Node = node,
        Directory = _root,
        InPlaceOf = inPlaceOf,
    });

    private static WireClient NewClient(RunningCollector node) => new(RunningCollector.NextAddress(), node.ClientPort, node.ServerAddress, node.HeraldPort);
}
