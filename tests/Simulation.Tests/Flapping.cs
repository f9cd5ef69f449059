using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>One dump whose address moves between the nodes of a shared directory, many times and at any packet; in virtual time, all of it a function of the seed.</summary>
/// <remarks>Whoever gets a packet and is not the owner becomes it, with what the owner before had put into its ledger before its last ack and nothing else of it.</remarks>
internal sealed class Flapping : IPacketSink
{
    public const string InFirstBurst = "taken over before anything was acked";
    public const string InBurst = "taken over in the middle of a burst";
    public const string BackAndForth = "taken over twice within one burst";
    public const string InTheEnd = "taken over behind the last byte";
    public const string Lost = "packets were lost as well";

    public static readonly string[] All = [InFirstBurst, InBurst, BackAndForth, InTheEnd, Lost];

    private const int Nodes = 3;
    private const int MaxSteps = 2_000_000;
    private const long DelayUs = 60;

    private readonly Random _random;
    private readonly uint _content;
    private readonly ulong _length;
    private readonly double _loss;
    private readonly double _moves;
    private readonly long _settlesAtUs;
    private readonly KernelClient _client;
    private readonly PriorityQueue<(byte[]? Datagram, uint Ack, int Node), (long, int)> _network = new();
    private readonly Dictionary<uint, ByteRange> _sentRanges = [];
    private readonly HashSet<uint> _acked = [];

    // What is in the owner's ledger and segments, for whoever is next.
    private readonly List<ByteRange> _stored = [];
    private readonly List<(ulong Offset, ReadOnlyMemory<byte> Bytes)> _keys = [];
    private readonly byte[] _durable;
    private byte[]? _state;
    private KernelDumpHeader? _header;

    private readonly byte[] _file;
    private DumpSession _session;
    private int _owner;
    private int _node;
    private int _order;
    private uint _burstOfTakeover;
    private long _nowUs;

    public Flapping(int seed)
    {
        _random = new(seed ^ 0x1f1a9);
        _content = (uint)seed;
        _length = (ulong)_random.Next(10, 80) * WellKnown.PageBytes;
        (_file, _durable) = (new byte[_length], new byte[_length]);
        _loss = _random.Next(4) == 0 ? _random.NextDouble() * 0.01 : 0;
        _moves = _random.Next(3) switch { 0 => 0.001, 1 => 0.01, _ => 0.1 };
        // A kernel repeats a burst each second, eleven times: with an address that moves for longer it gives up, whatever the server does.
        _settlesAtUs = _random.Next(1_000, 9_000_000);
        int payload = KernelClientOptions.PayloadOfMtu(_random.Next(4) switch { 0 => 576, 1 => 9000, 2 => _random.Next(576, 9001), _ => 1500 });
        bool hasKey = _random.Next(4) == 0;
        _client = new(new()
        {
            DumpBytes = _length,
            PayloadBytes = payload,
            AckBitmap = AckBitmap.Modulo32,
            BurstPlan = _random.Next(2) == 0 ? new FixedBursts() : new RandomPageBursts(new(seed)),
            Key = hasKey ? new byte[64] : default,
            KernelDumpHeader = KernelDumpHeader.Create("amd64", _length, DateTimeOffset.UnixEpoch, hasKey ? 64u : 0, 512, DumpCompression.None, "host", "version", "panic"),
        }, SyntheticContent.Of(_content), this);
        _session = new(new(), heraldSeqno: 1, nowUs: 0);
    }

    public int Takeovers { get; private set; }

    public HashSet<string> Met { get; } = [];

    /// <returns>What is wrong, or null.</returns>
    public string? Run()
    {
        _client.Start(0);
        for (int step = 0; !_client.HasEnded; step++)
        {
            if (step == MaxSteps)
                return "it does not end";
            long networkUs = _network.TryPeek(out _, out var next) ? next.Item1 : long.MaxValue;
            _nowUs = Math.Max(_nowUs, Math.Min(Math.Min(networkUs, _client.NextWakeUs), _session.WakeUs));
            if (networkUs <= _nowUs)
            {
                Deliver(_network.Dequeue());
            }
            else if (_session.WakeUs <= _nowUs)
            {
                _session.OnTick(_nowUs);
                Release();
            }
            else
            {
                _client.Poll(_nowUs);
            }
        }

        return Judge();
    }

    void IPacketSink.Send(ReadOnlySpan<byte> datagram)
    {
        Assert.True(MessageHeader.TryRead(datagram, out var header));
        if (header.Type == MessageType.Vmcore)
            _sentRanges[header.Seqno] = new(header.Offset, header.Offset + header.Length);
        if (_nowUs < _settlesAtUs && _random.NextDouble() < _moves)
            _node = (_node + _random.Next(1, Nodes)) % Nodes;
        if (IsLost())
            return;
        _network.Enqueue((datagram.ToArray(), 0, _node), (_nowUs + DelayUs, _order++));
    }

    private bool IsLost()
    {
        bool isLost = _loss > 0 && _random.NextDouble() < _loss;
        if (isLost)
            Met.Add(Lost);
        return isLost;
    }

    private void Deliver((byte[]? Datagram, uint Ack, int Node) arrived)
    {
        if (arrived.Datagram is not { } datagram)
        {
            _client.OnAck(arrived.Ack, _nowUs);
            return;
        }

        Assert.True(MessageHeader.TryRead(datagram, out var header));
        // Heralds that were answered are known to all nodes, and so is an end.
        if (arrived.Node != _owner && _session.Phase == SessionPhase.Receiving)
            TakeOver(header);
        _owner = arrived.Node;
        _ = _session.OnMessage(header, datagram.AsSpan(MessageHeader.SizeBytes), 0, _nowUs);
        foreach (var write in _session.Writes)
            (write.Tag == StoreIntent.OwnBytes ? _session.RelocatedBytes : datagram.AsSpan(MessageHeader.SizeBytes)).CopyTo(_file.AsSpan((int)write.Offset));
        foreach (var record in _session.Records)
        {
            if (record.Kind == IntentKind.Key)
                _keys.Add((record.Offset, datagram.AsMemory(MessageHeader.SizeBytes)));
        }

        _session.OnStored(_nowUs);
        _header = _session.Header;
        Release();
        if (_session.Phase != SessionPhase.Ending)
            return;
        _session.OnCommitted(_nowUs);
        Release();
    }

    private void TakeOver(in MessageHeader header)
    {
        Takeovers++;
        Met.Add(_state is null ? InFirstBurst : header.Type == MessageType.Vmcore ? InBurst : InTheEnd);
        if (_burstOfTakeover == _client.BurstBase)
            Met.Add(BackAndForth);
        _burstOfTakeover = _client.BurstBase;
        _durable.CopyTo(_file, 0);
        var kept = _state is null ? null : DumpSession.FirstBurstOf(_state);
        _session = DumpSession.Restore(new(), new()
        {
            HeraldSeqno = 1,
            State = _state,
            Ranges = [.. _stored],
            Header = _header,
            KeyPieces = _keys,
            FirstBurst = kept is ByteRange range ? _file.AsSpan((int)range.Start, (int)range.Length).ToArray() : [],
            MovedFirstBurst = kept is ByteRange moved ? _file.AsSpan(0, (int)moved.Length).ToArray() : [],
        }, _nowUs);
    }

    private void Release()
    {
        if (_session.MustSave)
        {
            _state = new byte[DumpSession.StateBytes];
            _session.Save(_state);
            _stored.AddRange(_session.UnsavedRanges);
            _session.OnSaved(_state);
            foreach (var range in _session.CoveredRanges)
                _file.AsSpan((int)range.Start, (int)range.Length).CopyTo(_durable.AsSpan((int)range.Start));
        }

        foreach (uint seqno in _session.Acks)
        {
            _acked.Add(seqno);
            if (!IsLost())
                _network.Enqueue((null, seqno, 0), (_nowUs + DelayUs, _order++));
        }

        _session.ClearAcks();
    }

    private string? Judge()
    {
        foreach (uint seqno in _acked)
        {
            if (_sentRanges.TryGetValue(seqno, out var range) && !IsStored(range))
                return $"{seqno} was acked and {range} is not there";
        }

        if (_client.State != ClientState.Done)
            return $"the client gave up in {_client.EndedIn} after {Takeovers} takeovers";
        return _session.Summary is { Status: DumpStatus.Complete } && IsStored(new(0, _length)) ? null : $"the client is done, and the dump is {_session.Summary?.Status}";
    }

    private bool IsStored(ByteRange range)
    {
        byte[] expected = new byte[range.Length];
        SyntheticContent.Fill(_content, range.Start, expected);
        return _durable.AsSpan((int)range.Start, expected.Length).SequenceEqual(expected);
    }
}
