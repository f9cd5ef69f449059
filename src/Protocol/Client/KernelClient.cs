namespace NetdumpCollector.Protocol.Client;

/// <summary>A panicked FreeBSD kernel that dumps, packet for packet and with its bugs.</summary>
/// <remarks>
/// Sans-I/O: the caller brings the time, hands in acks and wakes it at <see cref="NextWakeUs"/>; packets go to an <see cref="IPacketSink"/>.
/// The source port of the first ack is where everything after belongs; that is the caller's to do.
/// Source: protocol.md, "Rhythm" and "Three kernel bugs"; FreeBSD sys/net/debugnet.c (<c>debugnet_send</c>, <c>debugnet_handle_ack</c>),
/// sys/netinet/netdump/netdump_client.c.
/// </remarks>
public sealed partial class KernelClient
{
    /// <summary>Acks a NIC keeps between two looks; more are lost, as in a receive ring.</summary>
    private const int ReceiveRingSize = 1024;

    private const long Never = long.MaxValue;

    private readonly KernelClientOptions _options;
    private readonly uint[] _received = new uint[ReceiveRingSize];
    private int _receivedCount;

    private ulong _wantAcks;
    private ulong _gotAcks;

    /// <summary>When the latest round was sent; the kernel looks at its NIC then and every <see cref="KernelClientOptions.PollUs"/> after.</summary>
    private long _sentUs;

    /// <summary>The look that will find acks; looks that find nothing are not carried out.</summary>
    private long _lookUs = Never;

    /// <summary>When the kernel will notice that the burst is acked.</summary>
    private long _checkUs = Never;

    private long _retransmitUs = Never;

    /// <summary>When the kernel comes back from a pause and sends the burst.</summary>
    private long _resumeUs = Never;

    private KernelClientCounters _counters;

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public KernelClient(KernelClientOptions options, ContentSource content, IPacketSink sink)
    {
        options.Validate();
        _options = options;
        _content = content;
        _sink = sink;
        _nic = options.NicBytesPerSecond > 0 ? new(options.NicBytesPerSecond) : null;
        _herald = options.HeraldBytes();
        _payloadBytes = options.EffectivePayloadBytes;
        _datagram = new byte[MessageHeader.SizeBytes + _payloadBytes];
    }

    public ClientState State { get; private set; }

    /// <summary>What was being sent when the client gave up or died; <see cref="ClientState.Idle"/> otherwise.</summary>
    public ClientState EndedIn { get; private set; }

    /// <summary>Nothing more is sent, apart from what the NIC still holds.</summary>
    public bool HasEnded => State is ClientState.Done or ClientState.Failed or ClientState.Dead;

    /// <summary>When <see cref="Poll"/> has something to do, <see cref="long.MaxValue"/> while only an ack can move the client on.</summary>
    public long NextWakeUs => Math.Min(_nic?.NextUs ?? Never, NextStepUs);

    public KernelClientCounters Counters => _counters;

    private long NextStepUs => Math.Min(Math.Min(_resumeUs, _retransmitUs), Math.Min(_lookUs, _checkUs));

    /// <summary>Sends the herald. Called once.</summary>
    public void Start(long nowUs)
    {
        if (State != ClientState.Idle)
            throw new InvalidOperationException("the client was started before");

        BurstBase = _options.HeraldSeqno;
        SendBurst(ClientState.Herald, _herald, nowUs);
    }

    /// <summary>An ack reaches the NIC; the kernel sees it at its next look.</summary>
    public void OnAck(uint seqno, long nowUs)
    {
        if (State == ClientState.Idle || HasEnded || _receivedCount == ReceiveRingSize)
            return;

        _received[_receivedCount++] = seqno;
        if (_lookUs == Never && _resumeUs == Never)
            _lookUs = NextLookUs(nowUs);
    }

    /// <summary>Does what is due by <paramref name="nowUs"/>.</summary>
    public void Poll(long nowUs)
    {
        TransmitQueued(nowUs);
        for (long dueUs = NextStepUs; dueUs <= nowUs; dueUs = NextStepUs)
        {
            // At one instant the kernel first compares its bitmaps, then may send again, and only then looks at its NIC.
            if (_checkUs == dueUs)
            {
                _checkUs = Never;
                Advance(nowUs);
            }
            else if (_retransmitUs == dueUs)
                Retransmit(nowUs);
            else if (_resumeUs == dueUs)
                Resume(nowUs);
            else
                Look();
        }
    }

    /// <summary>The host loses power: nothing more leaves it, not even what the NIC holds.</summary>
    public void Die()
    {
        if (!HasEnded)
            End(ClientState.Dead);
        _nic?.Clear();
    }

    /// <summary>
    /// The bit of packet <paramref name="index"/>. The kernel's is an int shifted left: the count wraps at 32, and bit 31 extends its sign into the upper half.
    /// </summary>
    private ulong AckBit(int index) => _options.AckBitmap == AckBitmap.Modulo32 ? (ulong)(long)(1 << index) : 1UL << index;

    private long NextLookUs(long nowUs)
    {
        if (_options.PollUs == 0)
            return nowUs;

        long looks = (nowUs - _sentUs + _options.PollUs - 1) / _options.PollUs;
        return _sentUs + looks * _options.PollUs;
    }

    /// <summary>Reads all acks that have arrived; the kernel compares its bitmaps one poll interval after each look.</summary>
    private void Look()
    {
        foreach (uint seqno in _received.AsSpan(0, _receivedCount))
        {
            _counters.Acks++;
            if (seqno < BurstBase)
                _counters.LateAcks++;
            else if (seqno - BurstBase >= WellKnown.AckWindow)
                _counters.FarAcks++;
            else
                _gotAcks |= AckBit((int)(seqno - BurstBase));
        }

        _receivedCount = 0;
        if (_gotAcks == _wantAcks)
            _checkUs = _lookUs + _options.PollUs;
        _lookUs = Never;
    }

    /// <summary>A round was sent: the kernel now waits for its acks.</summary>
    private void StartWaiting(long nowUs)
    {
        _sentUs = nowUs;
        _checkUs = Never;
        _lookUs = _receivedCount > 0 ? nowUs : Never;
        if (_options.RetransmitUs == Never)
            return;

        // The kernel counts polls and gives a round one more than the whole ones of its time.
        long polls = _options.PollUs == 0 ? 0 : _options.RetransmitUs / _options.PollUs + 1;
        _retransmitUs = nowUs + (polls == 0 ? _options.RetransmitUs : polls * _options.PollUs);
    }

    private void Retransmit(long nowUs)
    {
        if (Round == _options.RetransmitRounds)
        {
            End(ClientState.Failed);
            return;
        }

        Round++;
        _counters.RetransmitRounds++;
        _counters.WorstBurstRounds = Math.Max(_counters.WorstBurstRounds, Round);
        SendRound(nowUs);
    }

    private void End(ClientState state)
    {
        if (state != ClientState.Done)
            EndedIn = State;
        State = state;
        _lookUs = _checkUs = _retransmitUs = _resumeUs = Never;
    }
}
