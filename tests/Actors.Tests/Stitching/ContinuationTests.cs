using System.Runtime.Versioning;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Actors.Tests.Stitching;

/// <summary>Two nodes, each with a directory of its own: what one has begun, the other goes on with as a part, and makes a whole dump of both.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ContinuationTests : IDisposable
{
    private const int LogContinued = 1190;
    private const int LogStitched = 1191;
    private const int LogAwaitsParts = 1192;
    private const string Root = "20261121T013940Z-00000001";

    private readonly string _temp = Directory.CreateTempSubdirectory("netdump-stitch-").FullName;
    private readonly FleetState _fleet = new() { AnsweredAt = TimeProvider.System.GetTimestamp() };

    /// <summary>Outlives the actors.</summary>
    private readonly ThreadDispatcher _thread = new("stitch", 1);

    public void Dispose()
    {
        _thread.Dispose();
        Directory.Delete(_temp, recursive: true);
    }

    [Theory, EveryTransport]
    public async Task What_comes_here_of_a_dead_nodes_dump_becomes_a_part_and_then_the_whole(string transport)
    {
        var dump = new TestDump(1_000_000);
        var a = await StartAsync(transport, "a");
        using var client = NewClient(a);
        client.Herald();
        for (int burst = 0; burst < 4; burst++)
            client.SendBurst(dump);
        await a.DisposeAsync();

        await using var b = await StartAsync(transport, "b", a);
        byte[][] next = client.TakeBurst(dump);
        // Nothing is known of the other node yet.
        foreach (byte[] message in next)
            client.Send(message);
        await b.Rejected(RejectReason.NoSession, next.Length);
        _fleet.Snapshot = Orphaned(client, a.ClientPort);
        client.SendUntilAcked(next);
        client.SendRest(dump);
        byte[] finished = client.TakeFinished();
        client.Send(finished);

        var part = await b.DumpOf(client);
        Assert.Equal((DumpStatus.Incomplete, EndReason.Finished, new DumpContinuation(Root, "a", 1)), (part.Status, part.Reason, part.Continues));
        // The first burst of a dump is its header page.
        Assert.Equal(new ByteRange(0, WellKnown.PageBytes + (3 * WellKnown.BurstBytes)), Assert.Single(part.Missing));
        await b.Log.Line(LogContinued);
        Assert.Equal(1, b.Metrics.SessionsContinued);
        client.Send(finished);

        await StitchAsync(b, part, dump);
        // What the other node had was its own to promise when the dump ended.
        Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(finished)));
        RunningCollector.AssertComplete(Assert.Single(b.Dumps), dump);
        Assert.Equal(["a", "b"], b.Dumps[0].Manifest.Segments!.Select(segment => segment.Node));
    }

    [Theory]
    [InlineData("live")]
    [InlineData("silent")]
    [InlineData("ended")]
    [InlineData("port")]
    [InlineData("finished")]
    [InlineData("offset")]
    [InlineData("stale")]
    public async Task Nothing_else_begins_a_part(string why)
    {
        await using var b = await StartAsync("portable", "b");
        using var client = NewClient(b);
        var session = Session(client, (ushort)(b.ClientPort + (why == "port" ? 1 : 0))) with { SilentSeconds = why == "silent" ? 100 : 5, Phase = why == "ended" ? "ending" : "receiving", Bytes = why == "offset" ? 65536 + 65537 : 1 };
        _fleet.Snapshot = new FleetSnapshot([Node(why == "live" ? FleetNodeState.Live : FleetNodeState.Dead)], [session], []).Index();

        if (why == "stale")
            _fleet.AnsweredAt = TimeProvider.System.GetTimestamp() - (60 * TimeProvider.System.TimestampFrequency);

        client.Send(TestDump.Message(why == "finished" ? MessageType.Finished : MessageType.Vmcore, 700, 65536, why == "finished" ? [] : new byte[1000]), b.HeraldPort);

        await b.Rejected(RejectReason.NoSession, 1);
        Assert.Equal(0, b.Metrics.SessionsContinued);
    }

    [Fact]
    public async Task Who_is_not_served_begins_no_part()
    {
        Assert.True(Ipv4Networks.TryParse("127.0.0.0/8", out var denied));
        await using var b = await StartAsync("portable", "b", null, new() { Denied = denied });
        using var client = NewClient(b);
        _fleet.Snapshot = Orphaned(client, b.ClientPort);

        client.Send(TestDump.Message(MessageType.Vmcore, 700, 65536, new byte[1000]), b.HeraldPort);

        await b.Rejected(RejectReason.NotAllowed, 1);
        Assert.Equal(0, b.Metrics.SessionsContinued);
    }

    [Fact]
    public async Task A_dump_that_is_only_incomplete_waits_for_nothing()
    {
        var dump = new TestDump(200_000);
        await using var b = await StartAsync("portable", "b");
        using var client = NewClient(b);
        client.Herald();
        client.SendBurst(dump);
        _ = client.TakeBurst(dump);
        client.SendRest(dump);
        client.Send(client.TakeFinished());
        Assert.Equal(DumpStatus.Incomplete, (await b.DumpOf(client)).Status);
        var finder = new FakeFinder(null);
        var actor = b.Actors.Spawn<StitchActor.Message>("stitch", _thread, () => new StitchActor(new(b.Root, "b", () => finder, Headroom.Unlimited, b.Metrics, b.Log), CancellationToken.None), new());

        actor.Tell(new StitchActor.DumpReady(Assert.Single(b.Dumps).ManifestPath));
        await Eventually.Holds(() => finder.Asked == 1, "it was asked for");
        actor.Tell(new StitchActor.DumpReady(b.Dumps[0].ManifestPath));
        await Eventually.Holds(() => finder.Asked == 2, "it was forgotten, and asked for again");

        Assert.DoesNotContain($"{LogAwaitsParts} ", b.Log.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Trouble_that_nobody_thought_of_is_told_of_and_waited_for()
    {
        await using var b = await StartAsync("portable", "b");
        string manifestPath = await ReceivePartAsync(b);
        var actor = SpawnStitching(b, () => throw new InvalidOperationException("an odd address"));

        actor.Tell(new StitchActor.DumpReady(manifestPath));

        await b.Log.Line(LogAwaitsParts);
        Assert.Contains("an odd address", b.Log.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_crash_left_unhashed_is_hashed_also_where_nothing_comes()
    {
        await using var b = await StartAsync("portable", "b");
        string manifestPath = await ReceivePartAsync(b);
        ManifestFile.Update(manifestPath, m => m with { Sha256 = null, HashState = HashState.Pending, Stitching = true });

        SpawnStitching(b, () => new FakeFinder(null)).Tell(new StitchActor.DumpReady(manifestPath));

        await Eventually.Holds(() => ManifestFile.Read(manifestPath) is { HashState: HashState.Done, Sha256: not null, Stitching: false }, "its hash is known");
    }

    [Theory]
    [InlineData("http://a:9464", true)]
    [InlineData("https://a.example.net/netdump", true)]
    [InlineData("foo", false)]
    [InlineData("ftp://x", false)]
    [InlineData("file:///etc/passwd", false)]
    [InlineData("http://user@a", false)]
    [InlineData("http://a/?q", false)]
    public void Nodes_are_reached_where_a_row_names_a_web_address(string url, bool isOne) => Assert.Equal(isOne, FleetParts.IsNodeUrl(url));

    private ActorRef<StitchActor.Message> SpawnStitching(RunningCollector b, Func<IPartFinder> open) =>
        b.Actors.Spawn<StitchActor.Message>("stitch", _thread, () => new StitchActor(new(b.Root, "b", open, Headroom.Unlimited, b.Metrics, b.Log) { Hashes = b.Hashes }, CancellationToken.None), new());

    /// <summary>The end of a dump that another node began, hashed.</summary>
    private static async Task<string> ReceivePartAsync(RunningCollector b)
    {
        var dump = new TestDump(200_000);
        using var client = NewClient(b);
        client.Herald();
        client.SendBurst(dump);
        _ = client.TakeBurst(dump);
        client.SendRest(dump);
        client.Send(client.TakeFinished());
        await b.DumpOf(client);
        await Eventually.Holds(() => b.Dumps[0].Manifest.HashState == HashState.Done, "it is hashed");
        ManifestFile.Update(b.Dumps[0].ManifestPath, m => m with { Continues = new(Root, "a", 1) });
        return b.Dumps[0].ManifestPath;
    }

    /// <summary>The other part ends after this one was first asked for.</summary>
    private async Task StitchAsync(RunningCollector b, Manifest part, TestDump dump)
    {
        ulong end = part.Missing[0].End;
        var other = new FakePart(part with { Id = Root, Continues = null, Kdh = null, Bytes = end, CoveredBytes = end, Missing = [], MissingBytes = 0, MissingRanges = 0, Reason = EndReason.ClientTimedOut }, dump.Content);
        var finder = new FakeFinder(other);
        var told = b.Metrics.Events.Subscribe(100);
        var actor = b.Actors.Spawn<StitchActor.Message>("stitch", _thread, () => new StitchActor(new(b.Root, "b", () => finder, Headroom.Unlimited, b.Metrics, b.Log) { Hashes = b.Hashes }, CancellationToken.None), new());
        actor.Tell(new StitchActor.Begin());
        await b.Log.Line(LogAwaitsParts);
        await b.Log.Line(LogStitched);
        await Eventually.Holds(() => b.Dumps[0].Manifest is { HashState: HashState.Done, Sha256: not null }, "its hash is known");
        // The part's own end may be told of after its files are there.
        string? last = null;
        while (told.Events.TryRead(out var what))
            last = what.Type;
        Assert.Equal("dump.completed", last);
        Assert.Equal(1, b.Metrics.Stitched);
    }

    private sealed class FakePart(Manifest manifest, byte[] content) : IDumpPart
    {
        public Manifest Manifest => manifest;

        public string Node => "a";

        public void Read(ulong offset, Span<byte> bytes) => content.AsSpan((int)offset, bytes.Length).CopyTo(bytes);

        public byte[] ReadKey() => throw new StorageException("no key");
    }

    /// <summary>Knows of one part that ends after the first question, or of none.</summary>
    private sealed class FakeFinder(IDumpPart? part) : IPartFinder
    {
        private int _asked;

        public int Asked => Volatile.Read(ref _asked);

        public IReadOnlyDictionary<string, DumpWhole> FindWholes(IReadOnlyCollection<Manifest> parts, CancellationToken stopping) => new Dictionary<string, DumpWhole>();

        public FoundParts Find(Manifest dump, CancellationToken stopping)
        {
            bool isFirst = Interlocked.Increment(ref _asked) == 1;
            return part is null ? new([], IsKnown: false, null) : isFirst ? new([], IsKnown: true, "it has not ended") : new([part], IsKnown: true, null);
        }
    }

    private static FleetSnapshot Orphaned(WireClient client, ushort port) => new FleetSnapshot([Node(FleetNodeState.Dead)], [Session(client, port)], []).Index();

    private static FleetNode Node(FleetNodeState state) => new(new("a", Guid.NewGuid(), Guid.NewGuid(), "0.0.0.0", 20023, null, "1", DateTimeOffset.UnixEpoch), state, TimeSpan.Zero, 1);

    private static FleetSession Session(WireClient client, ushort port) => new()
    {
        DumpId = Root,
        Node = "a",
        Client = client.Address,
        ClientPort = port,
        Host = null,
        Endpoint = "shared",
        EndpointAddress = Ipv4.Loopback,
        EndpointPort = 20023,
        Path = "partial",
        Phase = "receiving",
        Epoch = 1,
        Bytes = 1,
        TotalBytes = null,
        ExpectedBytes = null,
        Packets = 1,
        Repeated = 0,
        SilentSeconds = 5,
        Error = null,
        StartedAt = DateTimeOffset.UnixEpoch,
    };

    private Task<RunningCollector> StartAsync(string transport, string node, RunningCollector? inPlaceOf = null, AdmissionOptions? admission = null) => RunningCollector.StartAsync(new()
    {
        Transport = transport,
        Mode = EndpointMode.Shared,
        Fleet = _fleet,
        Directory = Path.Combine(_temp, node),
        Hashes = true,
        InPlaceOf = inPlaceOf,
        Admission = admission ?? new(),
    });

    private static WireClient NewClient(RunningCollector node) => new(RunningCollector.NextAddress(), node.ClientPort, node.ServerAddress, node.HeraldPort);
}
