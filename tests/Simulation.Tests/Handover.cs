using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>One dump whose packets reach a second node from some moment on, which has nothing of it; in virtual time, all of it a function of the seed.</summary>
internal sealed class Handover : IPacketSink
{
    public const string CutInFirstBurst = "cut before anything was acked";
    public const string CutAtStart = "cut at the first packet of a burst";
    public const string CutInside = "cut in a burst";
    public const string Incomplete = "the second node's part is incomplete";
    public const string Complete = "the second node got all of it";
    public const string NothingLeft = "the second node got nothing but FINISHED";
    public const string Overlap = "both nodes have some of the bytes";
    public const string GaveUp = "the client gave up";
    public const string Misjudged = "a burst was taken to begin later than it did";
    public const string Restarted = "the second node's process was restarted";

    public static readonly string[] All = [CutInside, CutAtStart, Incomplete, Overlap, Restarted, NothingLeft];

    private const int MaxSteps = 2_000_000;
    private const long DelayUs = 60;

    private readonly Random _random;
    private readonly uint _content;
    private readonly ulong _length;
    private readonly double _loss;
    private readonly long _gapUs;
    private readonly int _cutAfterPackets;
    private readonly KernelClient _client;
    private readonly PriorityQueue<(byte[]? Datagram, uint Ack, bool IsSecond), (long, int)> _network = new();
    private readonly Side _first;
    private Side? _second;
    private int _order;
    private int _sent;
    private int _restarts;
    private long _nowUs;
    private long _upAgainUs = long.MaxValue;
    private bool _isCut;

    public Handover(int seed)
    {
        _random = new(seed ^ 0x57171c4);
        _content = (uint)seed;
        _length = (ulong)_random.Next(10, 120) * WellKnown.PageBytes;
        _loss = _random.Next(2) == 0 ? 0 : _random.NextDouble() * 0.03;
        _gapUs = _random.Next(3) == 0 ? _random.Next(1, 1000) : _random.Next(1, 5_000_000);
        int payload = KernelClientOptions.PayloadOfMtu(_random.Next(4) switch { 0 => 576, 1 => 9000, 2 => _random.Next(576, 9001), _ => 1500 });
        bool hasKey = _random.Next(4) == 0;
        _cutAfterPackets = _random.Next(2, Math.Max(3, (int)(_length / (ulong)payload) + 4));
        _client = new(new()
        {
            DumpBytes = _length,
            PayloadBytes = payload,
            AckBitmap = AckBitmap.Modulo32,
            BurstPlan = _random.Next(2) == 0 ? new FixedBursts() : new RandomPageBursts(new(seed)),
            Key = hasKey ? new byte[64] : default,
            KernelDumpHeader = KernelDumpHeader.Create("amd64", _length, DateTimeOffset.UnixEpoch, hasKey ? 64u : 0, 512, DumpCompression.None, "host", "version", "panic"),
        }, SyntheticContent.Of(_content), this);
        _first = new(new(new(), heraldSeqno: 1, nowUs: 0), _length);
    }

    /// <summary>The first node dies when the client sends that; null for a moment that the seed decides.</summary>
    public ClientState? CutIn { get; init; }

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
            var side = _isCut ? _second : _first;
            _nowUs = Math.Max(_nowUs, Math.Min(Math.Min(networkUs, _client.NextWakeUs), side?.WakeUs ?? long.MaxValue));
            if (networkUs <= _nowUs)
                Deliver(_network.Dequeue());
            else if (side is not null && side.WakeUs <= _nowUs)
                side.Tick(_nowUs, SendAck);
            else
                _client.Poll(_nowUs);
        }

        return Judge();
    }

    void IPacketSink.Send(ReadOnlySpan<byte> datagram)
    {
        _sent++;
        if (!_isCut && (CutIn is { } state ? _client.State == state : _sent > _cutAfterPackets))
            Cut(datagram);
        if (_loss == 0 || _random.NextDouble() >= _loss)
            _network.Enqueue((datagram.ToArray(), 0, _isCut), (_nowUs + DelayUs, _order++));
    }

    private void Cut(ReadOnlySpan<byte> datagram)
    {
        _isCut = true;
        _upAgainUs = _nowUs + _gapUs;
        Assert.True(MessageHeader.TryRead(datagram, out var header));
        Met.Add(_first.Acked.Count == 0 ? CutInFirstBurst : header.Seqno == _client.BurstBase ? CutAtStart : CutInside);
    }

    private void Deliver((byte[]? Datagram, uint Ack, bool IsSecond) arrived)
    {
        if (arrived.Datagram is not { } datagram)
        {
            _client.OnAck(arrived.Ack, _nowUs);
            return;
        }

        // What was under way to the node that died is gone, and so is what comes before another one has the address.
        if (_isCut && (!arrived.IsSecond || _nowUs < _upAgainUs))
            return;
        Assert.True(MessageHeader.TryRead(datagram, out var header));
        if (!_isCut)
        {
            _first.Take(header, datagram, _nowUs, SendAck);
            return;
        }

        // FINISHED alone says that there was a dump, and nothing of it came here.
        if (_second is null && header.Type is not (MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey))
            return;
        _second ??= new(DumpSession.Continue(new(), [], _nowUs), _length);
        if (_second.Acked.Count > 0 && _restarts < 3 && _random.Next(100) == 0)
        {
            _restarts++;
            _second.Restart(_nowUs);
            Met.Add(Restarted);
        }

        _second.Take(header, datagram, _nowUs, SendAck);
    }

    private void SendAck(uint seqno)
    {
        if (_loss == 0 || _random.NextDouble() >= _loss)
            _network.Enqueue((null, seqno, false), (_nowUs + DelayUs, _order++));
    }

    private string? Judge()
    {
        if (!_isCut)
            return _client.State == ClientState.Done ? null : $"nothing was cut and the client is {_client.State} in {_client.EndedIn}";
        foreach (var side in (Side?[])[_first, _second])
        {
            if (side?.Unkept(_content) is string unkept)
                return unkept;
        }

        if (_second is null)
        {
            Met.Add(NothingLeft);
            return _client is { State: ClientState.Failed, EndedIn: ClientState.Finished or ClientState.Herald } ? null : $"the second node got nothing and the client is {_client.State} in {_client.EndedIn}";
        }

        // A client that never got an answer to its herald sends nothing else.
        bool isWhole = _second.Session.Summary is { Status: DumpStatus.Complete };
        Met.Add(isWhole ? Complete : Incomplete);
        if (_client.State == ClientState.Done != isWhole)
            return $"the client is {_client.State} in {_client.EndedIn} and the second node's dump is {_second.Session.Summary?.Status}";
        if (!isWhole && _loss > 0 && _client.EndedIn != ClientState.Finished)
        {
            // Of the 11 s of a kernel's patience some are gone before there is a second node, and lost packets cost a second each.
            Met.Add(GaveUp);
            return null;
        }

        if (!isWhole && _client.EndedIn != ClientState.Finished)
            return $"the client gave up in {_client.EndedIn}";
        if (!isWhole && _second.Session.Summary is not { Status: DumpStatus.Incomplete, Reason: EndReason.Finished, Header.IsValid: true })
            return $"the second node's part is {_second.Session.Summary}";

        var union = new Coverage();
        foreach (var range in (ByteRange[])[.. _first.Session.CoveredRanges, .. _second.Session.CoveredRanges])
        {
            if (union.Intersects(range.Start, range.End))
                Met.Add(Overlap);
            union.Add(range.Start, range.End);
        }

        if (union.Contains(0, _length))
            return null;
        if (_loss > 0)
        {
            // The head of a burst was lost twice, so that nobody could know of it, and its ack was another packet's; the hole is told of.
            Met.Add(Misjudged);
            return null;
        }

        return $"together they lack {string.Join(", ", union.Missing(_length))} although the client went on to its end";
    }

    /// <summary>One node's session, the dump's bytes there, and what it acked.</summary>
    private sealed class Side(DumpSession session, ulong length)
    {
        private readonly byte[] _file = new byte[length];
        private readonly List<ByteRange> _stored = [];
        private readonly List<(ulong Offset, ReadOnlyMemory<byte>)> _keys = [];
        private readonly Dictionary<uint, ByteRange> _seen = [];
        private byte[]? _state;

        public DumpSession Session { get; private set; } = session;

        public HashSet<uint> Acked { get; } = [];

        public long WakeUs => Session.WakeUs;

        public void Take(in MessageHeader header, byte[] datagram, long nowUs, Action<uint> ack)
        {
            if (header.Type == MessageType.Vmcore)
                _seen[header.Seqno] = new(header.Offset, header.Offset + header.Length);
            _ = Session.OnMessage(header, datagram.AsSpan(MessageHeader.SizeBytes), 0, nowUs);
            foreach (var write in Session.Writes)
                (write.Tag == StoreIntent.OwnBytes ? Session.RelocatedBytes : datagram.AsSpan(MessageHeader.SizeBytes)).CopyTo(_file.AsSpan((int)write.Offset));
            foreach (var record in Session.Records)
            {
                if (record.Kind == IntentKind.Key)
                    _keys.Add((record.Offset, datagram.AsMemory(MessageHeader.SizeBytes)));
            }

            Session.OnStored(nowUs);
            Release(ack);
            if (Session.Phase == SessionPhase.Ending)
            {
                Session.OnCommitted(nowUs);
                Release(ack);
            }
        }

        public void Tick(long nowUs, Action<uint> ack)
        {
            Session.OnTick(nowUs);
            Release(ack);
        }

        /// <summary>Another process goes on with what this one saved.</summary>
        public void Restart(long nowUs)
        {
            if (Session.Phase != SessionPhase.Receiving || _state is null)
                return;
            Session = DumpSession.Restore(new(), new() { HeraldSeqno = 1, State = _state, Ranges = _stored, Header = Session.Header, KeyPieces = _keys }, nowUs);
            Assert.True(Session.IsContinuation);
        }

        /// <returns>Which acked bytes it does not have, or null.</returns>
        public string? Unkept(uint content)
        {
            foreach (uint seqno in Acked)
            {
                if (!_seen.TryGetValue(seqno, out var range))
                    continue;
                byte[] expected = new byte[range.Length];
                SyntheticContent.Fill(content, range.Start, expected);
                if (!_file.AsSpan((int)range.Start, expected.Length).SequenceEqual(expected) || !Covers(range))
                    return $"{seqno} was acked and {range} is not there";
            }

            return null;
        }

        private bool Covers(ByteRange range)
        {
            foreach (var covered in Session.CoveredRanges)
            {
                if (covered.Start <= range.Start && range.End <= covered.End)
                    return true;
            }

            return false;
        }

        private void Release(Action<uint> ack)
        {
            if (Session.MustSave)
            {
                _state = new byte[DumpSession.StateBytes];
                Session.Save(_state);
                _stored.AddRange(Session.UnsavedRanges);
                Session.OnSaved(_state);
            }

            foreach (uint seqno in Session.Acks)
            {
                Acked.Add(seqno);
                ack(seqno);
            }

            Session.ClearAcks();
        }
    }
}
