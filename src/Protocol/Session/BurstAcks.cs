using System.Buffers.Binary;
using System.Diagnostics;

namespace NetdumpCollector.Protocol.Session;

/// <summary>What the seqno and geometry of a VMCORE packet say about it.</summary>
internal enum Arrival
{
    /// <summary>New; it counts for the running burst and its ack waits for it.</summary>
    New,

    /// <summary>New; acked as soon as stored.</summary>
    NewToAck,

    /// <summary>Repeats a packet whose ack was released, or one below the running burst.</summary>
    RepeatToAck,

    /// <summary>Repeats a packet whose ack is held, or which the client would not understand.</summary>
    RepeatToHold,

    /// <summary>Repeats a seqno at another place.</summary>
    Conflict,

    /// <summary>Far ahead of the running burst; ignored until the client insists.</summary>
    Stray,
}

/// <summary>Decides which packets of the running burst may be acked, and when.</summary>
/// <remarks>
/// The kernel keeps acks in a 32-bit bitmap, so an ack also covers every packet of the burst whose index is equal modulo 32, and it reuses its
/// buffer as soon as all bits are set (protocol.md, "Three kernel bugs"). Nothing is released while such a partner may exist and is not stored;
/// normally the whole burst is released at once. Decisions are made per residue, because that is what the kernel keeps.
/// <para>
/// Three things must be known of a burst: its first seqno (the previous burst's plus its packets), the payload of a full packet (any two packets
/// tell it) and its end (a short packet, or 64 KiB). Where one is not known, retransmission rounds tell: the kernel repeats every packet it
/// believes unacked, each second, at most eleven times.
/// </para>
/// Sans-I/O: callers bring the time and send what is released.
/// </remarks>
internal sealed class BurstAcks(SessionOptions options, uint first, bool packetByPacket)
{
    /// <summary>From this payload on a burst has at most 32 packets, so no two share a bit.</summary>
    public const int UnaliasedPayloadBytes = WellKnown.BurstBytes / WellKnown.AckBitmapBits;

    /// <summary>Bursts of smaller payloads would outgrow the window; no network has such an MTU.</summary>
    private const int MinPayloadBytes = 32;

    private const int MaxBurstPackets = WellKnown.BurstBytes / MinPayloadBytes;

    /// <summary>Rounds of nothing but repeats after which the client is believed to have nothing else; a kernel gives up after 11.</summary>
    private const int LastResortRounds = 9;

    /// <summary>Bursts of impossible geometry before the client is believed not to be a kernel.</summary>
    private const int MaxIrregularities = 3;

    private enum Anchor
    {
        /// <summary>The first seqno of the running burst is certain.</summary>
        Known,

        /// <summary>The previous burst's end was inferred; a first packet elsewhere disproves it.</summary>
        Guessed,

        /// <summary>Two rounds that begin at the same packet will tell.</summary>
        Unknown,
    }

    private readonly SeqnoWindow _arrived = new(first);
    private readonly SeqnoWindow _stored = new(first);
    private readonly SeqnoWindow _seenInRound = new(first);

    private Anchor _anchor = Anchor.Known;
    private bool _perPacket = packetByPacket;
    private bool _perPacketForGood = packetByPacket;
    private bool _pipelines;
    private bool _lossSeen;
    private int _irregularities;
    private int _newInBatch;
    private uint _newestInBatch;
    private uint _batchBase;

    // The running burst.
    private uint _base = first;
    private int _arrivedCount;
    private int _storedCount;
    private int _highest = -1;
    private int _end;
    private ulong _startOffset;
    private bool _startOffsetKnown;
    private bool _endIsInferred;
    private ulong _followingOffset;
    private bool _followingOffsetKnown;
    private uint _shortestSeqno;
    private int _shortestLength = int.MaxValue;
    private uint _sampleSeqno;
    private ulong _sampleOffset;
    private int _sampleLength;
    private uint _ackedResidues;

    // Its rounds.
    private int _round;
    private int _fruitlessRounds;
    private int _confirmingRounds;
    private uint _low;
    private uint _previousLow;
    private bool _lowKnown;
    private bool _previousLowKnown;
    private bool _quietHandled = true;
    private bool _roundHandled = true;
    private bool _wentQuiet;
    private long _lastArrivalUs;
    private long _heldSinceUs;
    private uint _heldSeqno;
    private bool _releaseHeld;
    private uint _releaseFrom;
    private bool _anyArrived;

    // Of the running 64 KiB, where packets are so large that acks go out packet by packet.
    private int _burstBytes;

    private uint _previousBase = first;
    private uint _releasedFirst;
    private int _releasedCount;
    private bool _mayReack;
    private bool _released;
    private long _responseUs;
    private long _releasedUs;
    private long _firstStrayUs = long.MaxValue;

    /// <summary>Payload of a full packet in bytes, 0 until two packets of a burst told it.</summary>
    public int PayloadBytes { get; private set; }

    /// <summary>First seqno of the running burst.</summary>
    public uint Base => _base;

    /// <summary>Bursts stored whole.</summary>
    public long Bursts { get; private set; }

    /// <summary>Bursts that went quiet while incomplete.</summary>
    public long QuietBursts { get; private set; }

    /// <summary>Stored packets of such bursts that were not acked then, because others that share their bit may be missing. Not saved.</summary>
    public long HeldAcks { get; private set; }

    /// <summary>Packets of the running burst are stored, and not all of them are acked.</summary>
    public bool HoldsAcks => _storedCount > 0;

    /// <summary>Acks are released as packets are stored, not burst by burst.</summary>
    public bool AcksPerPacket => _perPacket;

    /// <summary>Every packet above <see cref="Base"/> may be one of these many.</summary>
    public int MaxPackets => PayloadBytes == 0 ? MaxBurstPackets : (WellKnown.BurstBytes + PayloadBytes - 1) / PayloadBytes;

    /// <summary>When <see cref="OnTick"/> has something to do, in microseconds; <see cref="long.MaxValue"/>: never.</summary>
    public long WakeUs
    {
        get
        {
            long wake = long.MaxValue;
            if (!_quietHandled)
                wake = _lastArrivalUs + options.QuietPeriodUs;
            else if (!_roundHandled)
                wake = _lastArrivalUs + options.RoundGapUs;
            if (WaitsForSinglePacket)
                wake = Math.Min(wake, _heldSinceUs + options.SinglePacketHoldUs);
            if (_mayReack)
                wake = Math.Min(wake, _releasedUs + ReackDelayUs);
            return wake;
        }
    }

    /// <summary>A client that sends one packet at a time holds the first of the burst; a kernel of which only a later one came through does not wait.</summary>
    private bool WaitsForSinglePacket => !_pipelines && !_perPacket && _storedCount == 1 && _stored.Test(_heldSeqno) && (_anchor == Anchor.Unknown || _heldSeqno == _base);

    /// <summary>First seqno of the burst before the running one.</summary>
    public uint ExpectedFirst => _perPacket ? _base - WellKnown.AckBitmapBits : _previousBase;

    /// <summary>Seqnos from <see cref="ExpectedFirst"/> to the end of the longest burst that may be running.</summary>
    public uint ExpectedCount => _base - ExpectedFirst + (uint)MaxPackets;

    /// <summary>More may have been acked than is known of: where the client's burst begins elsewhere, rounds tell.</summary>
    public void MayBeginLater()
    {
        if (_anchor == Anchor.Known)
            _anchor = Anchor.Guessed;
    }

    /// <summary>It is inferred that the running burst begins at <see cref="Base"/>.</summary>
    public bool IsBaseGuessed => _anchor == Anchor.Guessed;

    /// <summary>All up to <paramref name="offset"/> is stored, in bursts as kernels send them: the next one is expected there, and rounds tell where the client disagrees.</summary>
    public void MayBeginAt(ulong offset)
    {
        MayBeginLater();
        _followingOffset = offset;
        _followingOffsetKnown = true;
    }

    /// <summary>A message of another type took this seqno: it was a burst of its own.</summary>
    public void OnControl(uint seqno)
    {
        if ((int)(seqno + 1 - _base) <= 0 || _arrivedCount > 0)
            return;

        // What was stored before, for a burst that was given up, counts for none that follows.
        StartBurst(seqno + 1, Anchor.Known);
    }

    /// <summary>Judges a VMCORE packet; when the answer is New or NewToAck, <see cref="OnStored"/> or <see cref="OnDropped"/> must follow.</summary>
    public Arrival OnArrival(uint seqno, ulong offset, int length, long nowUs)
    {
        if (length >= UnaliasedPayloadBytes && !_perPacketForGood)
            AckPerPacketForGood();
        if (_perPacket)
            return OnArrivalPerPacket(seqno, offset, length, nowUs);

        if (_anchor == Anchor.Guessed && (int)(seqno - _base) >= 0)
        {
            if (ContinuesPreviousBurst(seqno, offset))
                _anchor = Anchor.Known;
            else
                Unanchor();
        }

        if (_anchor == Anchor.Unknown)
            return OnArrivalUnanchored(seqno, offset, length, nowUs);

        int index = (int)(seqno - _base);
        if (index < 0)
        {
            // Its ack was lost, or the packet came twice.
            _lossSeen = true;
            return seqno - _previousBase is >= WellKnown.AckWindow and < int.MaxValue ? Arrival.RepeatToHold : Arrival.RepeatToAck;
        }

        if (index >= MaxPackets)
            return OnStray(seqno, offset, length, nowUs);

        _firstStrayUs = long.MaxValue;
        bool repeats = _arrived.Test(seqno);
        if (repeats && !FitsRepeat(seqno, index, offset, length))
            return Arrival.Conflict;
        if (!repeats && !Fits(seqno, index, offset, length))
        {
            OnIrregular();
            return OnArrival(seqno, offset, length, nowUs);
        }

        NoteArrival(seqno, nowUs);
        if (repeats)
            return (_ackedResidues & ResidueBit(index)) != 0 && index < WellKnown.AckWindow ? Arrival.RepeatToAck : Arrival.RepeatToHold;

        _arrived.Set(seqno);
        _highest = Math.Max(_highest, index);
        Hold(seqno, nowUs);
        return Arrival.New;
    }

    /// <summary>The packet's bytes are in the file.</summary>
    public void OnStored(uint seqno, AckList acks)
    {
        if (_releaseHeld)
            ReleaseHeld(acks);
        _stored.Set(seqno);
        if (_perPacket)
            AckAlone(seqno, acks);
        else if (CountsForBurst(seqno))
            _storedCount++;

        // The bytes may have come long after the packet: what went quiet meanwhile is looked at again.
        _quietHandled = _perPacket;
    }

    /// <summary>The packet could not be stored; the client sends it again.</summary>
    public void OnDropped(uint seqno)
    {
        if (!_perPacket && CountsForBurst(seqno))
            _arrivedCount--;
        _arrived.Unset(seqno);
    }

    /// <summary>The packet is among those <see cref="_arrivedCount"/> counts; the burst it came for may have been given up meanwhile.</summary>
    private bool CountsForBurst(uint seqno) =>
        _anchor == Anchor.Unknown || (seqno - _base < (uint)MaxPackets && _arrived.Test(seqno));

    /// <summary>Everything that arrived in one batch is stored or dropped: releases the burst when it is whole.</summary>
    public void OnBatchEnd(AckList acks)
    {
        _newInBatch = 0;
        if (_releaseHeld)
            ReleaseHeld(acks);
        else if (_end > 0 && _storedCount == _end)
            Complete(acks, Anchor.Known);
    }

    /// <summary>Time passed: a burst may have gone quiet, a round may be over, or a client may wait for the ack of its only packet.</summary>
    public void OnTick(long nowUs, AckList acks)
    {
        if (!_quietHandled && nowUs - _lastArrivalUs >= options.QuietPeriodUs)
        {
            _quietHandled = true;
            OnQuiet(acks);
        }

        if (!_roundHandled && nowUs - _lastArrivalUs >= options.RoundGapUs)
        {
            _roundHandled = true;
            OnRoundEnd(nowUs, acks);
            _releasedUs = nowUs;
        }

        if (_mayReack && nowUs - _releasedUs >= ReackDelayUs)
            Reack(acks);

        if (WaitsForSinglePacket && nowUs - _heldSinceUs >= options.SinglePacketHoldUs)
        {
            _perPacket = true;
            acks.Add(_heldSeqno);
            StartBurst(_heldSeqno + 1, Anchor.Known);
        }
    }

    /// <summary>
    /// The supposed first packet itself, or one that lies as far behind the previous burst's supposed end in the dump as in seqnos: what was
    /// taken for the end then was it, because a real end further on would be a short packet.
    /// </summary>
    private bool ContinuesPreviousBurst(uint seqno, ulong offset)
    {
        uint index = seqno - _base;
        return index == 0 || (_followingOffsetKnown && index < MaxPackets && offset == _followingOffset + index * (ulong)PayloadBytes);
    }

    private Arrival OnArrivalPerPacket(uint seqno, ulong offset, int length, long nowUs)
    {
        OnResponse(nowUs);
        _lastArrivalUs = nowUs;
        if (_arrived.Test(seqno))
        {
            _lossSeen = true;
            return Arrival.RepeatToAck;
        }

        if (++_newInBatch == 2 && !_perPacketForGood)
        {
            // Two packets outstanding at once: a kernel after all. The first of the two is not acked yet, it is stored with this batch.
            _perPacket = false;
            _newInBatch = 0;
            // Where the head was lost the burst begins where the packets before ended; far below both packets that says nothing.
            uint lowest = (int)(seqno - _newestInBatch) < 0 ? seqno : _newestInBatch;
            StartBurst(lowest - _batchBase < (uint)MaxPackets ? _batchBase : lowest, Anchor.Known);
            _arrived.Unset(_newestInBatch);
            OnArrival(_newestInBatch, _sampleOffset, _sampleLength, nowUs);
            return OnArrival(seqno, offset, length, nowUs);
        }

        if (_newInBatch == 1)
            _batchBase = _base;
        _newestInBatch = seqno;
        _sampleOffset = offset;
        _sampleLength = length;
        _arrived.Set(seqno);
        PayloadBytes = _perPacketForGood ? Math.Max(PayloadBytes, length) : PayloadBytes;
        _burstBytes = length < PayloadBytes || _burstBytes + length >= WellKnown.BurstBytes ? 0 : _burstBytes + length;
        if ((int)(seqno + 1 - _base) > 0)
            _base = seqno + 1;
        return Arrival.NewToAck;
    }

    /// <summary>Where the burst begins is not known: store, ack nothing, and let two rounds agree on the lowest packet.</summary>
    private Arrival OnArrivalUnanchored(uint seqno, ulong offset, int length, long nowUs)
    {
        NoteArrival(seqno, nowUs);
        if (seqno == _sampleSeqno + 1 && offset == _sampleOffset + (ulong)_sampleLength && PayloadBytes == 0 && _sampleLength is >= MinPayloadBytes)
            PayloadBytes = _sampleLength;
        _sampleSeqno = seqno;
        _sampleOffset = offset;
        _sampleLength = length;

        if (length < _shortestLength)
        {
            _shortestSeqno = seqno;
            _shortestLength = length;
        }

        if (_arrived.Test(seqno))
            return Arrival.RepeatToHold;

        _arrived.Set(seqno);
        Hold(seqno, nowUs);
        return Arrival.New;
    }

    private void Hold(uint seqno, long nowUs)
    {
        _fruitlessRounds = 0;
        _confirmingRounds = 0;
        _lossSeen |= _round > 1;
        _anyArrived = true;
        _pipelines |= ++_arrivedCount > 1;
        if (_arrivedCount > 1)
            return;
        _heldSinceUs = nowUs;
        _heldSeqno = seqno;
    }

    /// <summary>
    /// No kernel skips seqnos, so a packet far ahead is rather one of an older dump that was late; a client that means it sends it again
    /// and nothing else meanwhile.
    /// </summary>
    private Arrival OnStray(uint seqno, ulong offset, int length, long nowUs)
    {
        if (_firstStrayUs == long.MaxValue)
            _firstStrayUs = nowUs;
        if (_anyArrived && nowUs - _firstStrayUs < options.RoundGapUs)
            return Arrival.Stray;

        _firstStrayUs = long.MaxValue;
        Unanchor();
        return OnArrivalUnanchored(seqno, offset, length, nowUs);
    }

    /// <summary>Learns payload, start and end from a new packet; false when no kernel burst looks like this.</summary>
    private bool Fits(uint seqno, int index, ulong offset, int length)
    {
        if (PayloadBytes == 0)
        {
            if (_arrivedCount == 0)
            {
                _sampleSeqno = seqno;
                _sampleOffset = offset;
                _sampleLength = length;
                return true;
            }

            long packets = (int)(seqno - _sampleSeqno);
            long bytes = (long)(offset - _sampleOffset);
            if (packets == 0 || bytes % packets != 0 || bytes / packets is < MinPayloadBytes or >= UnaliasedPayloadBytes)
                return false;

            PayloadBytes = (int)(bytes / packets);
            if (Math.Max(_highest, index) >= MaxPackets
                || !FitsPayload((int)(_sampleSeqno - _base), _sampleOffset, _sampleLength)
                || !FitsPayload(index, offset, length))
            {
                PayloadBytes = 0;
                _startOffsetKnown = false;
                _end = 0;
                return false;
            }

            return true;
        }

        return FitsPayload(index, offset, length);
    }

    private bool FitsPayload(int index, ulong offset, int length)
    {
        ulong start = offset - (ulong)index * (ulong)PayloadBytes;
        if (length > PayloadBytes || (_startOffsetKnown && start != _startOffset))
            return false;

        if (length < PayloadBytes)
        {
            if ((_end != 0 && _end != index + 1) || index < _highest)
                return false;
            _end = index + 1;
        }
        else if (_end != 0 && index >= _end)
        {
            return false;
        }
        else if (index == MaxPackets - 1)
        {
            _end = index + 1;
        }

        _startOffset = start;
        _startOffsetKnown = true;
        return true;
    }

    private bool FitsRepeat(uint seqno, int index, ulong offset, int length)
    {
        if (PayloadBytes == 0)
            return seqno != _sampleSeqno || (offset == _sampleOffset && length == _sampleLength);
        return !_startOffsetKnown
            || (offset == _startOffset + (ulong)index * (ulong)PayloadBytes && (length == PayloadBytes || (length < PayloadBytes && index + 1 == _end)));
    }

    /// <summary>Either the supposed first seqno is wrong, or the client is not a kernel.</summary>
    private void OnIrregular()
    {
        _irregularities++;
        if (Bursts == 0)
            PayloadBytes = 0;
        if (_irregularities >= MaxIrregularities)
            AckPerPacketForGood();
        else
            Unanchor();
    }

    private void AckPerPacketForGood()
    {
        _releaseHeld = !_perPacket;
        _releaseFrom = _anchor == Anchor.Unknown && _lowKnown ? _low : _base;
        _perPacket = true;
        _perPacketForGood = true;
        _quietHandled = true;
        _roundHandled = true;
    }

    private void ReleaseHeld(AckList acks)
    {
        _releaseHeld = false;
        for (uint seqno = _releaseFrom; seqno != _releaseFrom + MaxBurstPackets; seqno++)
        {
            if (_stored.Test(seqno))
                acks.Add(seqno);
        }
    }

    private void Unanchor()
    {
        StartBurst(_base, Anchor.Unknown);
        _previousBase = _base;
        // A packet of another burst says nothing about the payload of this one.
        _sampleLength = 0;
    }

    private void NoteArrival(uint seqno, long nowUs)
    {
        if (_round == 0)
        {
            _round = 1;
        }
        else if (nowUs - _lastArrivalUs >= options.RoundGapUs)
        {
            _round++;
            _seenInRound.Clear();
            _previousLow = _low;
            _previousLowKnown = _lowKnown;
            _lowKnown = false;
        }

        if (_round > 1)
            _seenInRound.Set(seqno);
        if (!_lowKnown || (int)(seqno - _low) < 0)
            _low = seqno;
        _lowKnown = true;
        OnResponse(nowUs);
        _lastArrivalUs = nowUs;
        _quietHandled = false;
        _roundHandled = false;
    }

    private void OnQuiet(AckList acks)
    {
        if (_anchor != Anchor.Unknown && PayloadBytes > 0)
            ReleaseSafeResidues(acks);
        if (_wentQuiet)
            return;
        _wentQuiet = true;
        QuietBursts++;
        HeldAcks += CountHeld();
    }

    private int CountHeld()
    {
        int held = 0;
        for (int index = 0; index <= _highest; index++)
        {
            if (_stored.Test(_base + (uint)index) && (_ackedResidues & ResidueBit(index)) == 0)
                held++;
        }

        return held;
    }

    private void OnRoundEnd(long nowUs, AckList acks)
    {
        if (_anchor == Anchor.Unknown)
        {
            if (!_previousLowKnown || _previousLow != _low)
                return;
            AnchorAt(_low);
            if (PayloadBytes > 0)
                ReleaseSafeResidues(acks);
        }

        // Packets that trickle in look like rounds; the time tells them apart.
        bool lastResort = _round > 1 && ++_fruitlessRounds >= LastResortRounds && nowUs - _heldSinceUs >= options.LastResortUs;
        if (_end == 0 && EndIsInferred())
        {
            _end = _highest + 1;
            _endIsInferred = true;
        }

        if (_end > 0 && _storedCount == _end)
            Complete(acks, _endIsInferred ? Anchor.Guessed : Anchor.Known);
        else if (lastResort && _storedCount > 0)
            GiveUpHolding(acks);
    }

    /// <summary>Round after round the client repeats only what is stored: what seems to be missing is nothing it has.</summary>
    private void GiveUpHolding(AckList acks)
    {
        for (int index = 0; index <= Math.Min(_highest, WellKnown.AckWindow - 1); index++)
        {
            if (_stored.Test(_base + (uint)index))
                acks.Add(_base + (uint)index);
        }

        _previousBase = _base;
        NoteFollowingOffset(_highest + 1);
        StartBurst(_base + (uint)_highest + 1, Anchor.Guessed);
    }

    /// <summary>Two rounds agree that the burst begins here; what is stored of it is found again in the window.</summary>
    private void AnchorAt(uint seqno)
    {
        StartBurst(seqno, Anchor.Known, keepRounds: true);
        _previousBase = seqno;
        for (int index = 0; index < MaxPackets; index++)
        {
            if (!_arrived.Test(seqno + (uint)index))
                continue;
            _arrivedCount++;
            _highest = index;
            if (_stored.Test(seqno + (uint)index))
                _storedCount++;
        }

        if (PayloadBytes == 0)
            return;

        int sample = (int)(_sampleSeqno - seqno);
        if (sample < 0 || sample >= MaxPackets)
            return;
        _startOffset = _sampleOffset - (ulong)sample * (ulong)PayloadBytes;
        _startOffsetKnown = true;
        int shortest = (int)(_shortestSeqno - seqno);
        if (_shortestLength < PayloadBytes && shortest == _highest)
            _end = shortest + 1;
        if (_highest == MaxPackets - 1)
            _end = MaxPackets;
    }

    /// <summary>
    /// A full packet is the burst's end where nothing below is missing and one whole later round, that is one in which every packet the
    /// kernel must repeat was seen, shows nothing above; and only on a page boundary, because kernel bursts are whole pages. On a network
    /// that has lost packets of this dump it takes two such rounds, because the first may have lost the same packets again.
    /// </summary>
    private bool EndIsInferred()
    {
        if (_round < 2 || PayloadBytes == 0 || _storedCount == 0 || _storedCount != _highest + 1 || _arrivedCount != _storedCount || (_highest + 1) * PayloadBytes % WellKnown.PageBytes != 0)
            return false;

        for (int index = 0; index <= _highest; index++)
        {
            if ((_ackedResidues & ResidueBit(index)) == 0 && !_seenInRound.Test(_base + (uint)index))
                return false;
        }

        return ++_confirmingRounds >= (_lossSeen ? 2 : 1);
    }

    /// <summary>Acks each residue all of whose packets are stored or cannot exist; the kernel repeats the others.</summary>
    private void ReleaseSafeResidues(AckList acks)
    {
        int bound = _end > 0 ? _end : MaxPackets;
        for (int residue = 0; residue < Math.Min(WellKnown.AckBitmapBits, bound); residue++)
        {
            if ((_ackedResidues & ResidueBit(residue)) != 0)
                continue;

            bool safe = true;
            for (int index = residue; index < bound && safe; index += WellKnown.AckBitmapBits)
                safe = _stored.Test(_base + (uint)index);
            if (safe)
                AckResidue(residue, bound, acks);
        }
    }

    private void AckResidue(int residue, int bound, AckList acks)
    {
        _ackedResidues |= ResidueBit(residue);
        for (int index = residue; index < Math.Min(bound, WellKnown.AckWindow); index += WellKnown.AckBitmapBits)
            acks.Add(_base + (uint)index);
    }

    private void Complete(AckList acks, Anchor next)
    {
        Debug.Assert(_storedCount == _end, "a burst is released only when every packet of it is stored");
        for (int index = 0; index < Math.Min(_end, WellKnown.AckWindow); index++)
        {
            if ((_ackedResidues & ResidueBit(index)) == 0)
                acks.Add(_base + (uint)index);
        }

        Bursts++;
        _irregularities = 0;
        _releasedFirst = _base;
        _releasedCount = Math.Min(_end, WellKnown.AckWindow);
        OnReleased();
        uint following = _base + (uint)_end;
        NoteFollowingOffset(_end);
        _previousBase = _base;
        StartBurst(following, next);
    }

    private void NoteFollowingOffset(int packets)
    {
        _followingOffset = _startOffset + (ulong)packets * (ulong)PayloadBytes;
        _followingOffsetKnown = _startOffsetKnown;
    }

    private void StartBurst(uint seqno, Anchor anchor, bool keepRounds = false)
    {
        _base = seqno;
        _anchor = anchor;
        _arrivedCount = 0;
        _storedCount = 0;
        _highest = -1;
        _end = 0;
        _endIsInferred = false;
        _startOffsetKnown = false;
        _ackedResidues = 0;
        _wentQuiet = false;
        _fruitlessRounds = 0;
        _confirmingRounds = 0;
        if (keepRounds)
            return;

        _round = 0;
        _shortestLength = int.MaxValue;
        _lowKnown = false;
        _previousLowKnown = false;
        _quietHandled = true;
        _roundHandled = true;
    }

    private void AckAlone(uint seqno, AckList acks)
    {
        acks.Add(seqno);
        if (seqno != _releasedFirst + (uint)_releasedCount)
        {
            _releasedFirst = seqno;
            _releasedCount = 0;
        }

        // No burst of such packets is longer than the bitmap.
        if (++_releasedCount > WellKnown.AckBitmapBits)
        {
            _releasedFirst++;
            _releasedCount--;
        }

        OnReleased();
    }

    private void OnReleased()
    {
        _released = true;
        _mayReack = _lossSeen;
        _releasedUs = _lastArrivalUs;
    }

    /// <summary>Well beyond the time the client usually takes to send its next burst: where many dump at once that is long, and more acks would make it longer.</summary>
    private long ReackDelayUs => Math.Max(options.ReackUs, 4 * _responseUs);

    private void OnResponse(long nowUs)
    {
        if (!_released)
            return;
        _released = false;
        _mayReack = false;
        _responseUs += (nowUs - _lastArrivalUs - _responseUs) / 8;
    }

    /// <summary>A lost ack costs the client its retransmission timer, sending it again costs nothing; a client that has moved on ignores it.</summary>
    private void Reack(AckList acks)
    {
        _mayReack = false;
        for (uint i = 0; i < _releasedCount; i++)
            acks.Add(_releasedFirst + i);
    }

    /// <summary>Bytes that <see cref="Save"/> writes: fields, and among them a bit for each packet a burst can have.</summary>
    public const int StateBytes = 64 + MaxBurstPackets / 8;

    // Where Advance changes them.
    private const int BaseAt = 7;
    private const int StartOffsetAt = 23;
    private const int BurstsAt = 35;
    private const int BitsAt = 55;

    /// <summary>Writes down what another process needs to go on where this one is.</summary>
    public void Save(Span<byte> state)
    {
        var to = new StateWriter(state);
        to.Byte((byte)_anchor);
        to.Flag(_perPacket);
        to.Flag(_perPacketForGood);
        to.Flag(_pipelines);
        to.Flag(_lossSeen);
        to.Flag(_startOffsetKnown);
        to.Byte((byte)_irregularities);
        to.U32(_base);
        to.U32(_previousBase);
        to.I32(PayloadBytes);
        to.I32(_endIsInferred ? 0 : _end);
        to.U64(_startOffset);
        to.U32(_ackedResidues);
        to.I64(Bursts);
        to.I64(QuietBursts);
        // A packet alone is known with where it lies, which is not saved; nothing of its burst is acked, so it comes again.
        int packets = _perPacket || _anchor == Anchor.Unknown || PayloadBytes == 0 ? 0 : _highest + 1;
        to.I32(packets);
        var stored = to.Reserve(MaxBurstPackets / 8);
        for (int index = 0; index < packets; index++)
        {
            if (_stored.Test(_base + (uint)index))
                stored[index / 8] |= (byte)(1 << (index % 8));
        }

        for (int below = 1; _perPacket && below <= WellKnown.AckWindow; below++)
        {
            if (_stored.Test(_base - (uint)below))
                stored[below / 8] |= (byte)(1 << (below % 8));
        }

        to.I32(_perPacketForGood ? _burstBytes : 0);
    }

    /// <summary>
    /// Rewrites a saved state as if more bytes had been stored since: whole bursts, each full and right behind the one before; where acks go out packet by packet, whole packets of such bursts.
    /// </summary>
    /// <remarks>
    /// The bytes are stored, the seqnos are inferred. Where they come out too low, the client's next packet tells; where too high, packets that are taken for repeats are stored before they are acked, because the
    /// dump does not have their bytes.
    /// </remarks>
    /// <param name="state">What <see cref="Save"/> wrote, or a file pretends it did.</param>
    /// <param name="contiguous">Bytes from 0 on that were stored then.</param>
    /// <param name="more">Bytes that are stored behind them.</param>
    /// <returns>How many of these bytes, and how many packets and acks, the state has now besides; 0 where a burst was running that has to be whole.</returns>
    public static (ulong Bytes, long Packets, long Acks) Advance(Span<byte> state, ulong contiguous, ulong more)
    {
        var from = new StateReader(state);
        var anchor = (Anchor)from.Byte();
        bool perPacket = from.Flag(), perPacketForGood = from.Flag();
        _ = from.Take(4);
        uint first = from.U32();
        _ = from.U32();
        int payload = from.I32(), end = from.I32();
        _ = from.U64();
        uint ackedResidues = from.U32();
        long bursts = from.I64();
        _ = from.I64();
        int packets = from.I32();
        ulong below = BinaryPrimitives.ReadUInt64LittleEndian(from.Take(MaxBurstPackets / 8)) >> 1 | (ulong)(state[BitsAt + 8] & 1) << 63;
        int burstBytes = from.I32();
        if (payload is < MinPayloadBytes or > WellKnown.BurstBytes || packets != 0)
            return default;

        long perBurst = (WellKnown.BurstBytes + payload - 1) / payload;
        ulong ahead = more;
        if (perPacket)
        {
            if (!perPacketForGood || payload < UnaliasedPayloadBytes || burstBytes < 0 || burstBytes >= WellKnown.BurstBytes || burstBytes % payload != 0)
                return default;

            ahead += (ulong)burstBytes;
            ulong inLast = ahead % WellKnown.BurstBytes / (ulong)payload;
            ulong advanced = ahead - ahead % WellKnown.BurstBytes + inLast * (ulong)payload - (ulong)burstBytes;
            long count = (long)(ahead / WellKnown.BurstBytes) * perBurst + (long)inLast - burstBytes / payload;
            BinaryPrimitives.WriteUInt32LittleEndian(state[BaseAt..], first + (uint)count);
            below = count >= WellKnown.AckWindow ? ulong.MaxValue : below << (int)count | (1ul << (int)count) - 1;
            BinaryPrimitives.WriteUInt64LittleEndian(state[BitsAt..], below << 1);
            state[BitsAt + 8] = (byte)(below >> 63);
            BinaryPrimitives.WriteInt32LittleEndian(state[(BitsAt + MaxBurstPackets / 8)..], (int)inLast * payload);
            return (advanced, count, count);
        }

        ulong whole = ahead / WellKnown.BurstBytes;
        if (whole == 0 || anchor != Anchor.Known || end != 0 || ackedResidues != 0)
            return default;

        uint next = first + (uint)whole * (uint)perBurst;
        BinaryPrimitives.WriteUInt32LittleEndian(state[BaseAt..], next);
        BinaryPrimitives.WriteUInt32LittleEndian(state[(BaseAt + 4)..], next - (uint)perBurst);
        BinaryPrimitives.WriteUInt64LittleEndian(state[StartOffsetAt..], contiguous + (whole - 1) * WellKnown.BurstBytes);
        BinaryPrimitives.WriteInt64LittleEndian(state[BurstsAt..], bursts + (long)whole);
        return (whole * WellKnown.BurstBytes, (long)whole * perBurst, (long)whole * Math.Min(perBurst, WellKnown.AckWindow));
    }

    /// <summary>Goes on where <see cref="Save"/> left off; what the client got no ack for it sends again.</summary>
    public static BurstAcks Restore(SessionOptions options, ReadOnlySpan<byte> state)
    {
        var from = new StateReader(state);
        var anchor = (Anchor)from.Byte();
        bool perPacket = from.Flag(), perPacketForGood = from.Flag(), pipelines = from.Flag(), lossSeen = from.Flag(), startOffsetKnown = from.Flag();
        byte irregularities = from.Byte();
        uint first = from.U32(), previous = from.U32();
        var restored = new BurstAcks(options, first, packetByPacket: false)
        {
            _anchor = anchor <= Anchor.Unknown ? anchor : Anchor.Unknown,
            _perPacket = perPacket,
            _perPacketForGood = perPacketForGood,
            _pipelines = pipelines,
            _lossSeen = lossSeen,
            _startOffsetKnown = startOffsetKnown,
            _irregularities = irregularities,
            _previousBase = previous,
            _anyArrived = true,
            // What no burst can have is a damaged ledger's.
            PayloadBytes = Within(from.I32(), MinPayloadBytes, WellKnown.BurstBytes),
            _end = Within(from.I32(), 0, MaxBurstPackets),
            _startOffset = from.U64(),
            _ackedResidues = from.U32(),
            Bursts = from.I64(),
            QuietBursts = from.I64(),
        };
        int packets = Math.Min(from.I32(), MaxBurstPackets);
        var stored = from.Take(MaxBurstPackets / 8);
        restored._burstBytes = Within(from.I32(), 0, WellKnown.BurstBytes);
        // What a client that is acked packet by packet repeats of its last burst is no new packet, if the dump has its bytes.
        for (int below = 1; perPacket && below <= WellKnown.AckWindow; below++)
        {
            if ((stored[below / 8] & (1 << (below % 8))) == 0)
                continue;
            restored._arrived.Set(first - (uint)below);
            restored._stored.Set(first - (uint)below);
        }

        for (int index = 0; index < packets; index++)
        {
            if ((stored[index / 8] & (1 << (index % 8))) == 0)
                continue;
            restored._arrived.Set(first + (uint)index);
            restored._stored.Set(first + (uint)index);
            restored._arrivedCount++;
            restored._storedCount++;
            restored._highest = index;
            // It came before the client's next round.
            restored._round = 1;
        }

        return restored;
    }

    /// <summary>The value, or 0 where it is out of bounds.</summary>
    private static int Within(int value, int least, int most) => value >= least && value <= most ? value : 0;

    private static uint ResidueBit(int index) => 1u << (index % WellKnown.AckBitmapBits);
}
