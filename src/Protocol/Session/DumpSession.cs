using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Protocol.Session;

/// <summary>Where a session stands.</summary>
public enum SessionPhase
{
    /// <summary>A herald came, nothing else; it costs no file.</summary>
    HalfOpen,

    /// <summary>The dump is arriving.</summary>
    Receiving,

    /// <summary>The dump ended; <see cref="DumpSession.Summary"/> is to be made durable.</summary>
    Ending,

    /// <summary>A repeated FINISHED is still answered.</summary>
    Lingering,

    /// <summary>Nothing more will happen.</summary>
    Closed,
}

/// <summary>One client's dump, from its herald to the linger after FINISHED: what to write, what to ack, when to wake.</summary>
/// <remarks>
/// Sans-I/O. For each batch of received packets the caller calls <see cref="OnMessage"/> per packet, carries out <see cref="Writes"/>, then
/// <see cref="Records"/>, then <see cref="Compares"/>, calls <see cref="OnStored"/> (or <see cref="OnStoreFailed"/>) once, and sends
/// <see cref="Acks"/>. One batch at a time: nothing may arrive between OnMessage and OnStored of another batch.
/// Source: protocol.md, section 1.
/// </remarks>
public sealed partial class DumpSession
{
    private readonly SessionOptions _options;
    private BurstAcks _bursts;
    private readonly Coverage _coverage = new();
    private FirstBurst? _firstBurst;
    private readonly AckList _acks = new();
    private readonly AckList _repeatsToAck = new();
    private readonly List<StoreIntent> _writes = [];
    private readonly List<StoreIntent> _records = [];
    private readonly List<StoreIntent> _compares = [];
    private readonly RangeNotes _damaged = new();
    private readonly RangeNotes _overwritten = new();
    private readonly Coverage _keyCoverage = new();
    private ulong _writesEnd;
    private SessionCounters _counters;
    private byte[]? _path;
    private int _pathLength;
    private byte[]? _key;
    private KernelDumpHeader? _header;
    private KernelDumpHeader? _arrivingHeader;
    private bool _relocated;
    private string? _writeError;
    private long _lastPacketUs;
    private uint? _finishSeqno;
    private string? _keepPolicy;
    private ulong _decidedBytes = ulong.MaxValue;

    /// <param name="options">Times and limits.</param>
    /// <param name="heraldSeqno">Seqno of the herald that opened the session: 1 from a kernel, 0 from netdump-client, which waits for each ack.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public DumpSession(SessionOptions options, uint heraldSeqno, long nowUs)
    {
        _options = options;
        _bursts = new(options, heraldSeqno + 1, packetByPacket: heraldSeqno == 0);
        _firstBurst = heraldSeqno == 0 ? null : new();
        _lastPacketUs = nowUs;
        HeraldSeqno = heraldSeqno;
    }

    /// <summary>Goes on with a dump of which another node received a part that is not here: its first packet may be any.</summary>
    /// <remarks>What that node has is its own to promise: unless all of the dump comes here, it ends as incomplete and FINISHED is not acked.</remarks>
    /// <param name="options">Times and limits.</param>
    /// <param name="path">The path that its herald is believed to have asked for; empty for none.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public static DumpSession Continue(SessionOptions options, ReadOnlySpan<byte> path, long nowUs)
    {
        var session = new DumpSession(options, heraldSeqno: 1, nowUs) { IsContinuation = true, _path = path.ToArray(), _pathLength = path.Length };
        session.JoinMidway();
        return session;
    }

    /// <summary>Another node received a part of the dump that is not here.</summary>
    public bool IsContinuation { get; private set; }

    /// <summary>Seqno of the herald, of its last packet where a long path came in several: what follows has higher ones.</summary>
    public uint HeraldSeqno { get; private set; }

    public SessionPhase Phase { get; private set; } = SessionPhase.HalfOpen;

    /// <summary>The relative path the herald asked for; empty when none.</summary>
    public ReadOnlySpan<byte> HeraldPath
    {
        get
        {
            var path = _path.AsSpan(0, _pathLength);
            int end = path.IndexOf((byte)0);
            return end < 0 ? path : path[..end];
        }
    }

    /// <summary>Dump bytes to write, in order of arrival.</summary>
    public ReadOnlySpan<StoreIntent> Writes => CollectionsMarshal.AsSpan(_writes);

    /// <summary>Header and key bytes to write down.</summary>
    public ReadOnlySpan<StoreIntent> Records => CollectionsMarshal.AsSpan(_records);

    /// <summary>Packets to compare with what is stored, once the writes are done.</summary>
    public ReadOnlySpan<StoreIntent> Compares => CollectionsMarshal.AsSpan(_compares);

    /// <summary>The bytes of an intent whose tag is <see cref="StoreIntent.OwnBytes"/>.</summary>
    public ReadOnlySpan<byte> RelocatedBytes => _firstBurst is null ? [] : _firstBurst.Bytes;

    /// <summary>Seqnos to ack now.</summary>
    public ReadOnlySpan<uint> Acks => _acks.Seqnos;

    public SessionCounters Counters => _counters with { Bursts = _bursts.Bursts, QuietBursts = _bursts.QuietBursts };

    /// <summary>Stored packets that were not acked when their burst went quiet, because others share their bit in the kernel's bitmap.</summary>
    public long HeldAcks => _bursts.HeldAcks;

    /// <summary>Stored packets of the running burst wait with their acks for the rest of it.</summary>
    public bool HoldsAcks => _bursts.HoldsAcks;

    /// <summary>Distinct bytes stored so far.</summary>
    public ulong CoveredBytes => _coverage.CoveredBytes;

    /// <summary>The header, once it is stored.</summary>
    public KernelDumpHeader? Header => _header;

    /// <summary>When the last packet came, in microseconds.</summary>
    public long LastPacketUs => _lastPacketUs;

    /// <summary>First seqno that this session's kernel could send now, in the running burst or as a repeat of the one before.</summary>
    public uint ExpectedFirst => _bursts.ExpectedFirst;

    /// <summary>How many seqnos from <see cref="ExpectedFirst"/> on the kernel could send now.</summary>
    public uint ExpectedCount => _bursts.ExpectedCount;

    /// <summary>It is known how much of the dump is stored.</summary>
    public bool IsKeepDecided { get; private set; }

    /// <summary>Bytes from 0 on that are stored; what comes beyond them is acked and let go, and what lies beyond them already is not the dump's.</summary>
    public ulong KeptBytes { get; private set; } = ulong.MaxValue;

    /// <summary>How many of a write's first bytes go to the file.</summary>
    /// <remarks>Beyond <see cref="KeptBytes"/> only what may have to be moved to offset 0 later, also by another process.</remarks>
    public int StoredBytesOf(in StoreIntent write)
    {
        ulong end = write.Offset + (ulong)write.Length;
        if (end <= KeptBytes || (!_relocated && _firstBurst is not null && _firstBurst.Holds(write.Offset, end)))
            return write.Length;
        return write.Offset >= KeptBytes ? 0 : (int)(KeptBytes - write.Offset);
    }

    /// <summary>The last write failed; the client is waiting for space.</summary>
    public string? WriteError => _writeError;

    /// <summary>Takes one packet.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="tag">What intents call this packet; not negative.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    /// <returns>Why the packet is not used, or null.</returns>
    public RejectReason? OnMessage(in MessageHeader header, ReadOnlySpan<byte> payload, int tag, long nowUs)
    {
        var rejected = Take(header, payload, tag, nowUs);
        if (rejected is null)
        {
            _counters.Packets++;
            _lastPacketUs = nowUs;
        }
        else
        {
            _counters.Rejected++;
        }

        return rejected;
    }

    /// <summary>Decides how much of the dump is stored. What has come from byte 0 on without a hole stays; a piece that lies apart, beyond that, goes.</summary>
    /// <remarks>
    /// Another process that does not know of the decision must not take what was let go for stored. So the decision holds from when it is saved,
    /// or at once where nothing was: without a saved state all is forgotten.
    /// </remarks>
    /// <param name="bytes">Bytes from 0 on; null for all.</param>
    /// <param name="policy">Name of the policy that says so.</param>
    public void Keep(ulong? bytes, string policy)
    {
        IsKeepDecided = true;
        _isChanged |= _isSaved;
        if (bytes is not ulong kept)
            return;

        _decidedBytes = Math.Max(kept, ContiguousBytes);
        _keepPolicy = policy;
        if (!_isSaved)
            KeptBytes = _decidedBytes;
    }

    /// <summary>A packet named by its index in <see cref="Compares"/> differs from what is stored.</summary>
    public void OnMismatch(int compareIndex)
    {
        _isChanged = true;
        var repeat = _compares[compareIndex];
        _damaged.Add(new(repeat.Offset, repeat.Offset + (ulong)repeat.Length));
    }

    /// <summary>A packet named by its index in <see cref="Compares"/> is another session's: it is neither damage nor acked.</summary>
    public void OnForeign(int compareIndex) =>
        _compares[compareIndex] = _compares[compareIndex] with { Kind = IntentKind.RepeatToHold };

    /// <summary>Everything that was pending is done.</summary>
    public void OnStored(long nowUs)
    {
        if (_writes.Count + _records.Count > 0)
            _writeError = null;
        Settle(_writes.Count, _records.Count, compared: true, nowUs);
    }

    /// <summary>Storing failed; what was not done is not acked, so the client sends it again.</summary>
    /// <param name="writesDone">So many leading <see cref="Writes"/> are in the file.</param>
    /// <param name="recordsDone">So many leading <see cref="Records"/> are in the ledger.</param>
    /// <param name="error">What went wrong, in words.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public void OnStoreFailed(int writesDone, int recordsDone, string error, long nowUs)
    {
        _writeError = error;
        Settle(writesDone, recordsDone, compared: false, nowUs);
    }

    public void ClearAcks()
    {
        _counters.Acks += _acks.Count;
        _acks.Clear();
    }

    /// <summary>When <see cref="OnTick"/> has something to do, in microseconds; <see cref="long.MaxValue"/>: never.</summary>
    public long WakeUs => Phase switch
    {
        SessionPhase.HalfOpen => _lastPacketUs + _options.HalfOpenTimeoutUs,
        SessionPhase.Receiving => Math.Min(_bursts.WakeUs, _lastPacketUs + (IsWhole ? _options.SilentAfterHeaderUs : _options.ClientTimeoutUs)),
        SessionPhase.Lingering => _lingerEndsUs,
        _ => long.MaxValue,
    };

    /// <summary>Time passed; acks may have become ready and the phase may have changed.</summary>
    public void OnTick(long nowUs)
    {
        switch (Phase)
        {
            case SessionPhase.HalfOpen when nowUs - _lastPacketUs >= _options.HalfOpenTimeoutUs:
            case SessionPhase.Lingering when nowUs >= _lingerEndsUs:
                Phase = SessionPhase.Closed;
                break;
            case SessionPhase.Receiving:
                _bursts.OnTick(nowUs, _acks);
                _isChanged |= _acks.Count > 0;
                if (IsWhole && nowUs - _lastPacketUs >= _options.SilentAfterHeaderUs)
                    End(EndReason.SilentAfterHeader);
                else if (nowUs - _lastPacketUs >= _options.ClientTimeoutUs)
                    End(_writeError is not null ? EndReason.WriteError : _machineCrashed ? EndReason.MachineCrashed : EndReason.ClientTimedOut, _writeError);
                break;
        }
    }

    private RejectReason? Take(in MessageHeader header, ReadOnlySpan<byte> payload, int tag, long nowUs)
    {
        if (Phase is not (SessionPhase.HalfOpen or SessionPhase.Receiving))
            return header.Type == MessageType.Finished ? TakeLateFinished(header.Seqno) : RejectReason.AfterEnd;

        switch (header.Type)
        {
            case MessageType.Herald:
                return TakeHerald(header, payload);
            case MessageType.Vmcore:
                return TakeVmcore(header, payload, tag, nowUs);
            case MessageType.Kdh:
                return TakeKdh(header, payload, tag);
            case MessageType.EkcdKey:
                return TakeKey(header, payload, tag);
            case MessageType.Finished:
                RelocateFirstBurst();
                _finishSeqno = header.Seqno;
                return null;
            default:
                return RejectReason.UnknownType;
        }
    }

    /// <summary>A long path at a small MTU comes in several packets; a repeated packet carries the same piece.</summary>
    private RejectReason? TakeHerald(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (header.Offset > (ulong)_options.MaxPathBytes || header.Offset + (ulong)payload.Length > (ulong)_options.MaxPathBytes)
            return RejectReason.OversizedPath;

        if (payload.Length > 0 && Phase == SessionPhase.HalfOpen)
        {
            int end = (int)header.Offset + payload.Length;
            if (_path is null || _path.Length < end)
                Array.Resize(ref _path, end);
            payload.CopyTo(_path.AsSpan((int)header.Offset));
            _pathLength = Math.Max(_pathLength, end);
        }

        if (Phase == SessionPhase.HalfOpen && (int)(header.Seqno - HeraldSeqno) > 0)
            HeraldSeqno = header.Seqno;

        _bursts.OnControl(header.Seqno);
        _acks.Add(header.Seqno);
        return null;
    }

    private RejectReason? TakeVmcore(in MessageHeader header, ReadOnlySpan<byte> payload, int tag, long nowUs)
    {
        ulong start = header.Offset, end = start + (ulong)payload.Length;
        if (start > _options.MaxDumpBytes || end > _options.MaxDumpBytes)
            return RejectReason.OffsetOutOfRange;
        if (_coverage.Count + _writes.Count >= _options.MaxRanges)
            return RejectReason.TooFragmented;

        var arrival = _bursts.OnArrival(header.Seqno, start, payload.Length, nowUs);
        if (arrival == Arrival.Stray)
            return RejectReason.StraySeqno;
        if (arrival == Arrival.Conflict)
            return RejectReason.ConflictingSeqno;

        _counters.PayloadBytes += payload.Length;
        Phase = SessionPhase.Receiving;
        bool isNew = arrival is Arrival.New or Arrival.NewToAck;
        if (!isNew)
        {
            _counters.Retransmissions++;
            TakeRepeat(tag, header, payload.Length, mayAck: arrival == Arrival.RepeatToAck);
            return null;
        }

        if (_isCatchingUp)
            _isCatchingUp = _coverage.Contains(start, end);
        if (!_isCatchingUp && (_coverage.Intersects(start, end) || OverlapsPendingWrite(start, end)))
            _overwritten.Add(new(start, end));
        if (_firstBurst is not null)
        {
            _firstBurst.OnPacket(header.Seqno, start, payload);
            // At once: the dump may be about to overwrite the only copy that another process would find.
            if (_firstBurst.IsFollowedBy(start))
                RelocateFirstBurst();
        }

        _writes.Add(new(tag, header.Seqno, start, payload.Length, IntentKind.Burst));
        return null;
    }

    private void TakeRepeat(int tag, in MessageHeader header, int length, bool mayAck)
    {
        ulong start = header.Offset, end = start + (ulong)length;
        if (!_coverage.Contains(start, end) && !IsPendingWrite(start, end))
        {
            // Below the running burst and yet not stored: nothing a kernel does, and storing it keeps every ack true.
            _writes.Add(new(tag, header.Seqno, start, length, mayAck ? IntentKind.Loose : IntentKind.Unacked));
        }
        else if (!_overwritten.Intersects(start, end) && end <= KeptBytes)
        {
            _compares.Add(new(tag, header.Seqno, start, length, mayAck ? IntentKind.RepeatToAck : IntentKind.RepeatToHold));
        }
        else if (mayAck)
        {
            // Another packet has rewritten these bytes since, or they are not kept; there is nothing left to compare with, but its own write may be pending.
            _repeatsToAck.Add(header.Seqno);
        }
    }

    /// <summary>Packets of a burst follow each other, so the one before usually tells.</summary>
    private bool OverlapsPendingWrite(ulong start, ulong end)
    {
        bool isAbove = start >= _writesEnd;
        _writesEnd = Math.Max(_writesEnd, end);
        if (isAbove)
            return false;

        foreach (var write in Writes)
        {
            if (write.Offset < end && start < write.Offset + (ulong)write.Length)
                return true;
        }

        return false;
    }

    private bool IsPendingBelow(ulong end)
    {
        foreach (var write in Writes)
        {
            if (write.Offset < end)
                return true;
        }

        return false;
    }

    private bool IsPendingWrite(ulong start, ulong end)
    {
        foreach (var write in Writes)
        {
            if (write.Offset <= start && end <= write.Offset + (ulong)write.Length)
                return true;
        }

        return false;
    }

    private RejectReason? TakeKdh(in MessageHeader header, ReadOnlySpan<byte> payload, int tag)
    {
        Phase = SessionPhase.Receiving;
        _bursts.OnControl(header.Seqno);
        RelocateFirstBurst();
        if (_header is { IsValid: true })
        {
            // A retransmission; what the first one said stays.
            _acks.Add(header.Seqno);
            return null;
        }

        if (_arrivingHeader is not { IsValid: true })
            _arrivingHeader = KernelDumpHeader.Read(payload) ?? _arrivingHeader;
        _records.Add(new(tag, header.Seqno, 0, payload.Length, IntentKind.Kdh));
        return null;
    }

    private RejectReason? TakeKey(in MessageHeader header, ReadOnlySpan<byte> payload, int tag)
    {
        if (header.Offset > (ulong)_options.MaxKeyBytes || header.Offset + (ulong)payload.Length > (ulong)_options.MaxKeyBytes)
            return RejectReason.OversizedKey;

        Phase = SessionPhase.Receiving;
        _bursts.OnControl(header.Seqno);
        int end = (int)header.Offset + payload.Length;
        if (_key is null || _key.Length < end)
            Array.Resize(ref _key, end);
        payload.CopyTo(_key.AsSpan((int)header.Offset));
        _records.Add(new(tag, header.Seqno, header.Offset, payload.Length, IntentKind.Key));
        return null;
    }

    private void RelocateFirstBurst()
    {
        var bytes = RelocatedBytes;
        if (_relocated || bytes.IsEmpty || _coverage.Intersects(0, (ulong)bytes.Length) || IsPendingBelow((ulong)bytes.Length))
            return;

        _relocated = true;
        _firstBurst!.End();
        _writes.Add(new(StoreIntent.OwnBytes, 0, 0, bytes.Length, IntentKind.Relocation));
    }

    private void Settle(int writesDone, int recordsDone, bool compared, long nowUs)
    {
        for (int i = 0; i < _writes.Count; i++)
            SettleWrite(_writes[i], done: i < writesDone);
        for (int i = 0; i < recordsDone; i++)
            SettleRecord(_records[i]);
        if (compared)
        {
            foreach (var compare in _compares)
            {
                if (compare.Kind == IntentKind.RepeatToAck)
                    _acks.Add(compare.Seqno);
            }

            foreach (uint seqno in _repeatsToAck.Seqnos)
                _acks.Add(seqno);
        }

        _writes.Clear();
        _writesEnd = 0;
        _records.Clear();
        _compares.Clear();
        _repeatsToAck.Clear();
        _arrivingHeader = null;
        _bursts.OnBatchEnd(_acks);
        if (_finishSeqno is not null && Phase is SessionPhase.Receiving or SessionPhase.HalfOpen)
            Finish(nowUs);
    }

    private void SettleWrite(in StoreIntent write, bool done)
    {
        if (done)
        {
            _isChanged = true;
            _coverage.Add(write.Offset, write.Offset + (ulong)write.Length);
            if (!_coverage.IsContiguous)
                NoteUnsaved(new(write.Offset, write.Offset + (ulong)write.Length));
        }

        switch (write.Kind)
        {
            case IntentKind.Burst when done:
                _bursts.OnStored(write.Seqno, _acks);
                break;
            case IntentKind.Burst:
                _bursts.OnDropped(write.Seqno);
                break;
            case IntentKind.Loose when done:
                _acks.Add(write.Seqno);
                break;
            case IntentKind.Relocation when !done:
                _relocated = false;
                break;
        }
    }

    private void NoteUnsaved(ByteRange range)
    {
        if (_unsaved.Count > 0 && _unsaved[^1].End == range.Start)
            _unsaved[^1] = new(_unsaved[^1].Start, range.End);
        else
            _unsaved.Add(range);
        if (_unsaved.Count <= 2 * _options.MaxRanges)
            return;

        // A client that writes the same places again and again and is never acked: what is stored is no more than the ranges.
        _unsaved.Clear();
        _unsaved.AddRange(_coverage.Ranges);
    }

    private void SettleRecord(in StoreIntent record)
    {
        Debug.Assert(record.Kind is IntentKind.Kdh or IntentKind.Key, "records are headers and keys");
        if (record.Kind == IntentKind.Kdh)
            _header = _arrivingHeader ?? _header;
        else
            _keyCoverage.Add(record.Offset, record.Offset + (ulong)record.Length);
        _isChanged = true;
        _acks.Add(record.Seqno);
    }
}
