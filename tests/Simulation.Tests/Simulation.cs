using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A promise was broken; the message says which, in which run and when.</summary>
public sealed class BrokenPromiseException(string message) : Exception(message);

/// <summary>What one run came to.</summary>
internal sealed record RunResult(ClientState ClientState, ClientState ClientEndedIn, bool ServerSaysComplete, bool IsIdentical, DumpSummary? Summary, KernelClientCounters Client, long EndUs);

/// <summary>
/// One dump from panic to the end, in virtual time: a kernel client, a network, a server and its disk. Deterministic: the scenario, itself a function
/// of its seed, decides everything.
/// </summary>
internal sealed class Simulation : IServerWorld, IPacketSink, IServerProcess
{
    private const int MaxSteps = 3_000_000;
    private const long MaxVirtualUs = 36_000_000_000;
    private const long RoundUs = 1_000_000;

    private readonly KernelClient _client;
    private readonly IServerModel _server;
    private readonly Network _network = new();
    private readonly bool _expectsSafety;
    private readonly List<string>? _trace;
    private readonly byte[] _kdh;
    private readonly byte[] _key;
    private readonly List<long> _nicStalls = [];
    private readonly List<Burst> _bursts = [];
    private readonly List<Packet> _packets = [];
    private readonly Packet _finished = new();
    private readonly CollectorModel? _collector;
    private readonly int _contentSeed;
    private long _awayUs;
    private long _nowUs;
    private long _startUs;
    private long _dieUs;
    private long _lateHeraldUs = long.MaxValue;
    private byte[]? _herald;
    private ushort _sessionPort;
    private uint _highestDelivered;
    private int _heraldAcksLost;
    private bool _healNoted;
    private bool _mustFinish;
    private int _unsafeAcks;
    private int _vmcoreBursts;

    /// <summary>A burst as the client sent it.</summary>
    private sealed record Burst(ClientState State, uint Base, int Packets, int Bytes, int VmcoreOrdinal);

    /// <summary>What became of one seqno.</summary>
    private sealed class Packet
    {
        public Burst? Burst;
        public MessageType Type;
        public int Sent;
        public int LostOfFirstTwo;
        public bool FirstLost;
        public int NewestDelivered;
        public int AcksSent;
        public ulong Offset;
        public int Length;
    }

    private Simulation(Scenario scenario, ServerLife life, Func<IServerWorld, IServerModel> server, bool expectsSafety, List<string>? trace)
    {
        Scenario = scenario;
        Life = life;
        _contentSeed = scenario.Seed + scenario.StormIndex * 1_000_003;
        Random = new(_contentSeed ^ 0x5eed);
        _trace = trace;
        _expectsSafety = expectsSafety;
        _key = scenario.HasKey ? new byte[4096] : [];
        Random.NextBytes(_key);
        _kdh = KernelDumpHeader.Create("amd64", (ulong)scenario.DumpBytes, DateTimeOffset.UnixEpoch, (uint)_key.Length, 512, DumpCompression.None, "host", "FreeBSD", "panic");
        _client = new(ClientOptions(), SyntheticContent.Of((uint)_contentSeed), this);
        _server = server(this);
        _collector = _server as CollectorModel;
        life.Add(this);
        _startUs = Scenario.StartUs + scenario.StartsLaterUs;
        _dieUs = scenario.DiesAfterUs == long.MaxValue ? long.MaxValue : _startUs + scenario.DiesAfterUs;
        for (int i = 0; i < scenario.NicStalls; i++)
            _nicStalls.Add(Scenario.StartUs + Random.NextInt64(1, 300_000));
        _nicStalls.Sort();
    }

    public Scenario Scenario { get; }

    public Random Random { get; }

    public FaultCoverage Faults { get; } = FaultCoverage.Empty();

    public ServerLife Life { get; }

    /// <summary>A kernel bears 11 s of silence for each burst; a kill costs, besides its time, up to one round that was under way.</summary>
    long IServerProcess.AllowanceUs => _client.HasEnded || !Scenario.MustComplete ? ServerLife.MaxAwayUs : ServerLife.MaxAwayUs - _awayUs;

    /// <summary>Runs our server against <paramref name="scenario"/> and checks every promise.</summary>
    /// <exception cref="BrokenPromiseException">A promise was broken.</exception>
    public static RunResult RunCollector(Scenario scenario, FaultCoverage faults, List<string>? trace = null) => RunStorm([scenario], faults, trace)[0];

    /// <summary>Runs our server against several clients at once and checks every promise; its life and its disk are those of the first scenario.</summary>
    /// <exception cref="BrokenPromiseException">A promise was broken.</exception>
    public static RunResult[] RunStorm(Scenario[] scenarios, FaultCoverage faults, List<string>? trace = null)
    {
        var life = new ServerLife(scenarios[0]);
        var clients = Array.ConvertAll(scenarios, scenario => new Simulation(scenario, life, world => new CollectorModel(world), expectsSafety: true, trace));
        Run(clients, life);
        var results = Array.ConvertAll(clients, client => client.Judge());
        foreach (var client in clients)
            faults.Add(client.Faults);
        faults.Add(life.Faults);
        if (clients.Length > 1)
            faults.Count(FaultCoverage.Storm);
        return results;
    }

    /// <summary>Runs a server that acks packet by packet; it promises nothing that could be checked but the run's end.</summary>
    public static RunResult RunNetdumpd(Scenario scenario)
    {
        var life = new ServerLife(scenario);
        var client = new Simulation(scenario, life, world => new NetdumpdModel(world), expectsSafety: false, trace: null);
        Run([client], life);
        return client.Judge();
    }

    public Exception Broken(string what) => new BrokenPromiseException(
        $"seed {Scenario.Seed} (replay: NETDUMP_SIM_SEED={Scenario.Seed}) client {Scenario.StormIndex} at {(_nowUs - Scenario.StartUs) / 1e6:F6} s, {Life.Kills} kills, {Life.Crashes} crashes: {what}\n{Scenario}");

    public void Trace(string line) => _trace?.Add($"{(_nowUs - Scenario.StartUs) / 1e6,12:F6} {Scenario.StormIndex} {line}");

    /// <summary>The client's NIC puts a packet on the wire.</summary>
    void IPacketSink.Send(ReadOnlySpan<byte> datagram)
    {
        NoteBurst();
        MessageHeader.TryRead(datagram, out var header);
        var packet = PacketOf(header.Seqno, header.Type);
        packet.Type = header.Type;
        packet.Burst ??= BurstOf(header.Seqno, header.Type);
        packet.Sent++;
        packet.Offset = header.Offset;
        packet.Length = (int)header.Length;

        var burst = packet.Burst;
        int index = (int)(header.Seqno - burst.Base);
        bool isVmcore = header.Type == MessageType.Vmcore;
        bool isLost = IsLost(toServer: true) || (isVmcore && Scenario.Drop.DropsPacket(burst.VmcoreOrdinal, index, burst.Packets, packet.Sent));
        if (isLost && packet.Sent <= 2)
            packet.LostOfFirstTwo++;
        packet.FirstLost |= isLost && packet.Sent == 1;
        if (_trace is not null)
            Trace($"client {header.Type} {header.Seqno} [{index} of {burst.Packets}] offset {header.Offset} length {header.Length} send {packet.Sent}{(isLost ? " LOST" : "")}");
        if (header.Type == MessageType.Herald && Scenario.LateHeraldUs > 0 && _herald is null)
        {
            _herald = datagram.ToArray();
            _lateHeraldUs = _nowUs + Scenario.LateHeraldUs;
        }

        if (isLost)
            return;
        Add(datagram, packet.Sent, _sessionPort == 0 ? WellKnown.HeraldPort : _sessionPort);
        if (Scenario.Duplicate > 0 && Random.NextDouble() < Scenario.Duplicate)
        {
            Faults.Count(FaultCoverage.Duplicated);
            Add(datagram, packet.Sent, _sessionPort == 0 ? WellKnown.HeraldPort : _sessionPort);
        }
    }

    public void SendAck(ushort port, uint seqno, ModelDisk? disk)
    {
        var packet = PacketOf(seqno, _client.State == ClientState.Finished ? MessageType.Finished : MessageType.Herald);
        if (packet.Burst is null)
            throw Broken($"ack of {seqno}, which the client never sent");

        bool isLost = IsLost(toServer: false)
            || (packet.Type == MessageType.Herald && _heraldAcksLost < Scenario.HeraldAcksLost)
            || (packet.Type == MessageType.Vmcore && Scenario.Drop.DropsAck(packet.Burst.VmcoreOrdinal, packet.AcksSent + 1));
        packet.AcksSent++;
        if (packet.Type == MessageType.Herald && isLost)
            _heraldAcksLost++;
        if (_trace is not null)
            Trace($"server acks {seqno}{(isLost ? " LOST" : "")}");
        if (_expectsSafety)
            CheckAck(seqno, packet, disk);
        if (isLost)
            return;

        _network.Add(new() { ArrivesUs = _nowUs + DelayUs(), AckSeqno = seqno, Port = port });
        if (Scenario.Duplicate > 0 && Random.NextDouble() < Scenario.Duplicate)
            _network.Add(new() { ArrivesUs = _nowUs + DelayUs(), AckSeqno = seqno, Port = port });
    }

    private static void Run(Simulation[] clients, ServerLife life)
    {
        long nowUs = Scenario.StartUs;
        life.Arm(nowUs);
        for (int steps = 0; ; steps++)
        {
            var next = clients[0];
            foreach (var client in clients)
                next = client.NextUs < next.NextUs ? client : next;
            long nextUs = Math.Min(next.NextUs, life.IsUp && next.NextUs == long.MaxValue ? long.MaxValue : life.NextUs);
            if (nextUs == long.MaxValue)
                break;
            if (steps > MaxSteps || nextUs > MaxVirtualUs)
                throw next.Broken("the run does not end");

            // A server whose disk stalled has timers that ran out meanwhile.
            nowUs = Math.Max(nowUs, nextUs);
            next._nowUs = nowUs;
            try
            {
                if (life.NextUs <= nowUs)
                    life.Step(nowUs);
                else
                    next.Step();
            }
            catch (ServerKilledException)
            {
                life.Kill(nowUs);
            }
        }
    }

    private long NextUs => Math.Min(Math.Min(_network.NextUs, _server.WakeUs), Math.Min(_client.NextWakeUs, NextScriptUs));

    void IServerProcess.OnKilled(bool machine, long awayUs, long nowUs)
    {
        _nowUs = nowUs;
        Trace($"{(machine ? "the machine crashes" : "the server is killed")}, for {awayUs} us");
        _awayUs += awayUs + RoundUs;
        _collector!.OnKilled(machine);
    }

    void IServerProcess.OnStarted(long nowUs)
    {
        _nowUs = nowUs;
        Trace("the server starts");
        _collector!.OnStarted(nowUs);
    }

    private void Step()
    {
        if (!_healNoted && _nowUs >= Scenario.HealsAtUs)
            NoteHealing();

        if (NextScriptUs <= _nowUs)
            RunScript();
        else if (_network.NextUs <= _nowUs)
            Arrive(_network.Take());
        else if (_server.WakeUs <= _nowUs)
            _server.Wake(_nowUs);
        else
        {
            _client.Poll(_nowUs);
            NoteBurst();
        }
    }

    private long NextScriptUs => Math.Min(Math.Min(Math.Min(_startUs, _dieUs), _lateHeraldUs), _nicStalls.Count > 0 ? _nicStalls[0] : long.MaxValue);

    private void RunScript()
    {
        if (_startUs <= _nowUs)
        {
            _startUs = long.MaxValue;
            _client.Start(_nowUs);
            NoteBurst();
        }
        else if (_dieUs <= _nowUs)
        {
            _dieUs = long.MaxValue;
            if (!_client.HasEnded)
            {
                Faults.Count(FaultCoverage.ClientDied);
                Trace("client dies");
            }

            _client.Die();
        }
        else if (_lateHeraldUs <= _nowUs)
        {
            _lateHeraldUs = long.MaxValue;
            Trace("a copy of the herald arrives");
            _server.Deliver(WellKnown.HeraldPort, _herald!, _herald!.Length, _nowUs);
        }
        else
        {
            _nicStalls.RemoveAt(0);
            long untilUs = _nowUs + Random.NextInt64(1, 2_500_000);
            Trace($"NIC stalls for {untilUs - _nowUs} us");
            _client.StallNic(untilUs);
        }
    }

    /// <summary>From here on nothing is lost: a client with rounds enough left must get through.</summary>
    private void NoteHealing()
    {
        _healNoted = true;
        Trace("network heals");
        // The server may need a round to hear everything, one more to tell a burst's end or start, and one for the acks.
        const int RoundsNeeded = 4;
        _mustFinish = !_client.HasEnded && _client.Round + RoundsNeeded <= 11;
        if (!_client.HasEnded && _client.State != ClientState.Idle)
            Faults.Count(FaultCoverage.HealedInTime);
    }

    private void Arrive(in Transit transit)
    {
        if (transit.Datagram is null)
        {
            _sessionPort = _sessionPort == 0 ? transit.Port : _sessionPort;
            _client.OnAck(transit.AckSeqno, _nowUs);
            return;
        }

        MessageHeader.TryRead(transit.Datagram.AsSpan(0, transit.Length), out var header);
        var packet = PacketOf(header.Seqno, header.Type);
        if (packet.NewestDelivered > transit.Transmission)
            Faults.Count(FaultCoverage.RetransmissionOverlapsLatePacket);
        packet.NewestDelivered = Math.Max(packet.NewestDelivered, transit.Transmission);
        if (transit.Transmission == 1 && header.Seqno < _highestDelivered)
            Faults.Count(FaultCoverage.Reordered);
        _highestDelivered = Math.Max(_highestDelivered, header.Seqno);
        if (_trace is not null)
            Trace($"arrives {header.Type} {header.Seqno} (transmission {transit.Transmission})");
        _server.Deliver(transit.Port, transit.Datagram, transit.Length, _nowUs);
    }

    /// <summary>An ack is a promise: the packet is stored, and so is every packet the kernel takes it for.</summary>
    private void CheckAck(uint seqno, Packet packet, ModelDisk? disk)
    {
        var burst = packet.Burst!;
        if (packet.Type == MessageType.Finished)
        {
            if (_server.Outcome?.Summary is not { Status: not DumpStatus.Incomplete })
                throw Broken("FINISHED is acked although the dump is not durable or has holes");
            return;
        }

        if (packet.Type == MessageType.Herald)
            return;
        if (disk is null || !disk.HasPacket(seqno))
            throw Broken($"ack of {packet.Type} {seqno}, which is not stored");
        if (packet.Type != MessageType.Vmcore || burst.Base != _client.BurstBase)
            return;

        uint index = seqno - burst.Base;
        // Where a crash of the machine took the session back, it may take a later burst for the running one until the client repeats it.
        if (index >= WellKnown.AckWindow && Scenario.Client == ClientKind.Kernel && Life.Crashes == 0)
            throw Broken($"ack of {seqno}, {index} above the burst's first");
        for (uint partner = index % WellKnown.AckBitmapBits; partner < burst.Packets; partner += WellKnown.AckBitmapBits)
        {
            if (disk.HasPacket(burst.Base + partner))
                continue;
            _unsafeAcks++;
            if (!Scenario.MayMisjudgeEnd && Life.Crashes == 0)
                throw Broken($"ack of {seqno} also marks {burst.Base + partner} (index {index} and {partner} of {burst.Packets}), which is not stored");
        }
    }

    private RunResult Judge()
    {
        bool isIdentical = false;
        var outcome = _server.Outcome;
        if (outcome is not null)
        {
            byte[] memory = new byte[Scenario.DumpBytes];
            SyntheticContent.Fill((uint)_contentSeed, 0, memory);
            isIdentical = outcome.Disk.Holds(0, memory);
        }

        CountBurstFaults();
        CountEndFaults(outcome);
        var result = new RunResult(_client.State, _client.EndedIn, outcome?.IsComplete ?? false, isIdentical, outcome?.Summary, _client.Counters, _nowUs);
        if (_expectsSafety)
            CheckEnd(result, outcome);
        foreach (var disk in _collector?.Disks ?? (outcome is null ? [] : [outcome.Disk]))
            disk.Recycle();
        return result;
    }

    private void CheckEnd(RunResult result, DumpOutcome? outcome)
    {
        var summary = result.Summary;
        if (!_client.HasEnded)
            throw Broken($"the client never ended, it is in {_client.State}");
        if (result.ServerSaysComplete && !result.IsIdentical)
            throw Broken($"the dump is called complete and is not; holes: {string.Join(", ", outcome!.Disk.Holes((ulong)Scenario.DumpBytes))}");
        if (result.ServerSaysComplete && summary!.LengthBytes != (ulong)Scenario.DumpBytes)
            throw Broken($"the dump is called complete with {summary.LengthBytes} bytes");
        if (result.ServerSaysComplete && !(summary!.Key ?? default).Span.SequenceEqual(_key))
            throw Broken("the dump is called complete with a wrong key");
        if (result.ClientState == ClientState.Done && Scenario is { Client: ClientKind.Kernel, SendsFinished: true } && !result.ServerSaysComplete && _unsafeAcks == 0)
            throw Broken($"FINISHED was acked and the dump is {summary?.Status.ToString() ?? "gone"}");
        bool mayBeDamaged = Life.Crashes > 0 || Scenario.SyncErrors > 0;
        if (!mayBeDamaged && summary is { Status: DumpStatus.Damaged } or { Damaged.Count: > 0 })
            throw Broken($"the dump is called damaged at {summary.Damaged[0]}, and no kernel sends two contents for one seqno");
        if (_client.Counters.FarAcks > 0 && Scenario.Client == ClientKind.Kernel && Life.Crashes == 0)
            throw Broken($"{_client.Counters.FarAcks} acks were so far ahead that the kernel prints a line for each");
        if (!mayBeDamaged)
            CheckNothingAckedIsMissing(outcome);
        if (summary is { Header.IsValid: true } && !outcome!.Disk.HasTornWrites && Life.Kills == 0 && Scenario.SyncErrors == 0 && !summary.Missing.SequenceEqual(outcome.Disk.Holes((ulong)Scenario.DumpBytes)))
            throw Broken($"missing ranges are reported as {string.Join(", ", summary.Missing)} and are {string.Join(", ", outcome.Disk.Holes((ulong)Scenario.DumpBytes))}");

        if (_unsafeAcks > 0 && result.Summary is { Status: DumpStatus.Incomplete, MissingBytes: > 0 })
            Faults.Count(FaultCoverage.EndMisjudged);
        if (_collector!.ForgotHerald && result.ClientEndedIn != ClientState.Idle)
            return;
        if (Scenario.MustComplete)
            CheckGoodEnd(result);
        else if (_mustFinish && result.ClientState != ClientState.Done && !(result.ClientEndedIn == ClientState.Finished && summary is { Status: DumpStatus.Incomplete }))
            throw Broken($"the network healed in time and the client still failed in {result.ClientEndedIn} after {_client.Counters.WorstBurstRounds} rounds");
        if (_unsafeAcks == 0 && result is { ClientState: ClientState.Done, ServerSaysComplete: false, Summary.Status: not DumpStatus.Headerless })
            throw Broken($"the client was let go with a dump that is {summary?.Status}");
    }

    /// <summary>What was acked is in the file and the server knows it, however often its process died since.</summary>
    private void CheckNothingAckedIsMissing(DumpOutcome? outcome)
    {
        foreach (var packet in _packets)
        {
            // Stale bytes are overwritten, or moved.
            if (packet.AcksSent == 0 || packet.Type != MessageType.Vmcore || Scenario.Stale != StaleState.None)
                continue;
            if (outcome is null)
                throw Broken($"bytes at {packet.Offset} were acked and there is no dump");
            byte[] content = new byte[packet.Length];
            SyntheticContent.Fill((uint)_contentSeed, packet.Offset, content);
            if (!outcome.Disk.Holds(packet.Offset, content))
                throw Broken($"bytes at {packet.Offset} were acked and are not in the file");
            if (outcome.Summary!.Missing.Any(hole => hole.Start < packet.Offset + (ulong)packet.Length && packet.Offset < hole.End))
                throw Broken($"bytes at {packet.Offset} were acked and are reported as missing");
        }
    }

    private void CheckGoodEnd(RunResult result)
    {
        if (result.ClientState != ClientState.Done)
            throw Broken($"the client failed in {result.ClientEndedIn} after {_client.Counters.WorstBurstRounds} rounds; the dump is {result.Summary?.Status}");
        var expected = Scenario.Client == ClientKind.Kernel ? DumpStatus.Complete : DumpStatus.Headerless;
        if (result.Summary?.Status != expected || !result.IsIdentical)
            throw Broken($"the dump is {result.Summary?.Status} instead of {expected}, {(result.IsIdentical ? "identical" : "not identical")}; missing {string.Join(", ", result.Summary?.Missing ?? [])}");
        if (Scenario.IsLossless && Life.Kills == 0)
            CheckNothingWasSentTwice();
    }

    /// <summary>An end that only a repeated round can tell costs that round; nothing else does without loss.</summary>
    private void CheckNothingWasSentTwice()
    {
        int untold = _bursts.Count(b => b.State == ClientState.Vmcore && b.Bytes % Scenario.PayloadBytes == 0 && b.Bytes < WellKnown.BurstBytes && Scenario.PayloadBytes < 2048);
        if (_client.Counters.RetransmitRounds > untold)
            throw Broken($"nothing was lost and the client still needed {_client.Counters.RetransmitRounds} rounds of retransmission, {untold} of them excused");
    }

    private void CountBurstFaults()
    {
        foreach (var burst in _bursts.Where(b => b.State == ClientState.Vmcore))
        {
            var packets = Enumerable.Range(0, burst.Packets).Select(i => PacketOf(burst.Base + (uint)i, MessageType.Vmcore)).ToArray();
            if (packets.Any(p => p.Sent == 0))
                continue;

            for (int low = 0; Scenario.Mtu == 1500 && burst.Packets == 46 && low < 14; low++)
            {
                bool lowLost = packets[low].FirstLost, highLost = packets[low + 32].FirstLost;
                if (lowLost || highLost)
                    Faults.Count(lowLost && highLost ? FaultCoverage.AliasBoth(low) : lowLost ? FaultCoverage.AliasLow(low) : FaultCoverage.AliasHigh(low));
            }

            if (packets.All(p => p.FirstLost))
                Faults.Count(FaultCoverage.WholeBurstLost);
            else if (packets[0].FirstLost)
                Faults.Count(FaultCoverage.HeadLost);
            else if (packets[^1] is { FirstLost: true })
                Faults.Count(packets[^1].LostOfFirstTwo == 2 ? FaultCoverage.TailLostTwice : FaultCoverage.TailLostOnce);
            if (Scenario.Mtu == 1460 && burst.Bytes % Scenario.PayloadBytes == 0)
                Faults.Count(FaultCoverage.FullLengthEnding);
            if (packets.All(p => p.Sent > 1 && !p.FirstLost && p.NewestDelivered > 0))
                Faults.Count(FaultCoverage.AcksLost);
        }
    }

    private void CountEndFaults(DumpOutcome? outcome)
    {
        if (_client.Counters.CorruptedInQueue > 0)
            Faults.Count(FaultCoverage.QueueCorruption);
        if (_client.State == ClientState.Failed)
            Faults.Count(FaultCoverage.GaveUp);
        if (outcome?.Summary is { MissingBytes: > 0, Status: DumpStatus.Incomplete })
            Faults.Count(FaultCoverage.Incomplete);
        if (outcome?.Summary is { Unverified.Count: > 0 })
            Faults.Count(FaultCoverage.UnverifiedReported);
        if (_client.State != ClientState.Done || outcome is null)
            return;

        if (Scenario.Client == ClientKind.NetdumpClient)
            Faults.Count(FaultCoverage.NetdumpClient);
        if (Scenario.Client == ClientKind.OnePacketClient)
            Faults.Count(FaultCoverage.OnePacketClient);
        if (!outcome.IsComplete)
            return;

        Faults.Count(FaultCoverage.CompleteAt(Scenario.Mtu));
        if (Life.Kills > 2)
            Faults.Count(FaultCoverage.CompleteAfterKills);
        if (Life.Crashes > 0)
            Faults.Count(FaultCoverage.CompleteAfterCrash);
        if (Life.Kills > 0 && outcome.Summary is { Relocated: true })
            Faults.Count(FaultCoverage.RelocatedAfterKill);
        if (Scenario.Era == KernelEra.FreeBsd12)
            Faults.Count(Scenario.HasKey ? FaultCoverage.Era12WithKey : FaultCoverage.Era12);
        else if (Scenario.HasKey)
            Faults.Count(FaultCoverage.Era13WithKey);
        if (_bursts[0].Packets > 1)
            Faults.Count(FaultCoverage.HeraldInPieces);
        if (Scenario.Stale == StaleState.FirstBurstElsewhere)
            Faults.Count(FaultCoverage.FirstBurstElsewhere);
        if (Scenario.Stale == StaleState.StaleBurstFirst)
            Faults.Count(FaultCoverage.StaleBurstFirst);
        if (Scenario.Stale != StaleState.None && Scenario.StaleOffset >= (ulong)Scenario.DumpBytes)
            Faults.Count(FaultCoverage.StaleBeyondEnd);
        if (!Scenario.SendsFinished)
            Faults.Count(FaultCoverage.NoFinished);
    }

    private KernelClientOptions ClientOptions()
    {
        var scenario = Scenario;
        if (scenario.Client != ClientKind.Kernel)
        {
            var options = KernelClientOptions.NetdumpClient((ulong)scenario.DumpBytes);
            return scenario.Client == ClientKind.NetdumpClient ? options : options with { HeraldSeqno = 1, FinishedSeqno = null };
        }

        byte[] stale = new byte[scenario.StaleBytes];
        Random.NextBytes(stale);
        return new()
        {
            DumpBytes = (ulong)scenario.DumpBytes,
            PayloadBytes = KernelClientOptions.PayloadOfMtu(scenario.Mtu),
            Era = scenario.Era,
            AckBitmap = scenario.AckBitmap,
            BurstPlan = new ScenarioBursts(scenario, Random, () => Faults.Count(FaultCoverage.Paused)),
            HeraldPath = new('p', scenario.HeraldPathBytes),
            Key = _key,
            KernelDumpHeader = _kdh,
            SendsFinished = scenario.SendsFinished,
            NicBytesPerSecond = scenario.NicBytesPerSecond,
            FirstBurstOffset = scenario.Stale == StaleState.FirstBurstElsewhere ? scenario.StaleOffset : null,
            StaleBurst = scenario.Stale == StaleState.StaleBurstFirst ? new(scenario.StaleOffset, stale) : null,
        };
    }

    private sealed class ScenarioBursts(Scenario scenario, Random random, Action onPause) : IBurstPlan
    {
        private const int MaxPauseUs = 2_000_000;

        public BurstStep StepAt(ulong offset, ulong leftBytes)
        {
            int pages = !scenario.IsFragmented ? 16 : random.NextDouble() < scenario.ElevenPageProbability ? 11 : random.Next(1, 17);
            bool pauses = scenario.PauseProbability > 0 && random.NextDouble() < scenario.PauseProbability;
            if (pauses)
                onPause();
            return new(pages * WellKnown.PageBytes, pauses ? random.Next(1, MaxPauseUs) : 0);
        }
    }

    private bool IsLost(bool toServer)
    {
        double loss = _nowUs < Scenario.HealsAtUs ? toServer ? Scenario.LossToServer : Scenario.LossToClient : 0;
        return (loss > 0 && Random.NextDouble() < loss) || Scenario.InBlackout(_nowUs, toServer);
    }

    private long DelayUs()
    {
        long delayUs = 40 + (Scenario.JitterUs > 0 ? Random.NextInt64(Scenario.JitterUs) : 0);
        return Scenario.Late > 0 && Random.NextDouble() < Scenario.Late ? delayUs + Random.NextInt64(Scenario.LateUs) : delayUs;
    }

    private void Add(ReadOnlySpan<byte> datagram, int transmission, ushort port) => _network.Add(new()
    {
        ArrivesUs = _nowUs + DelayUs(),
        Port = port,
        Datagram = datagram.ToArray(),
        Length = datagram.Length,
        Transmission = transmission,
    });

    private void NoteBurst()
    {
        if (_client.State is ClientState.Idle || _client.HasEnded || (_bursts.Count > 0 && _bursts[^1].Base == _client.BurstBase && _bursts[^1].State == _client.State))
            return;

        _awayUs = Life.IsUp ? 0 : Life.StartsUs - _nowUs + RoundUs;
        _bursts.Add(new(_client.State, _client.BurstBase, _client.BurstPackets, _client.BurstBytes, _vmcoreBursts));
        if (_client.State == ClientState.Vmcore)
            _vmcoreBursts++;
    }

    private Burst BurstOf(uint seqno, MessageType type)
    {
        if (type == MessageType.Finished)
            return _bursts[^1];
        for (int i = _bursts.Count - 1; i >= 0; i--)
        {
            if (seqno - _bursts[i].Base < (uint)_bursts[i].Packets)
                return _bursts[i];
        }

        throw Broken($"no burst has {seqno}");
    }

    /// <summary>netdump-client's FINISHED has the seqno of its herald.</summary>
    private Packet PacketOf(uint seqno, MessageType type)
    {
        if (seqno == 0 && type == MessageType.Finished)
            return _finished;
        while (_packets.Count <= seqno)
            _packets.Add(new());
        return _packets[(int)seqno];
    }
}
