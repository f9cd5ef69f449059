namespace NetdumpCollector.Protocol.Client;

/// <content>What is sent, in which order and from which buffer.</content>
public sealed partial class KernelClient
{
    private readonly ContentSource _content;
    private readonly IPacketSink _sink;
    private readonly NicQueue? _nic;
    private readonly byte[] _herald;
    private readonly int _payloadBytes;

    /// <summary>The one buffer that every burst is copied into.</summary>
    private readonly byte[] _buffer = new byte[WellKnown.BurstBytes];

    private readonly byte[] _datagram;

    private long _burstStartedUs;
    private bool _staleIsSent;
    private bool _staleIsRunning;

    /// <summary>Seqno of the running burst's first packet.</summary>
    public uint BurstBase { get; private set; }

    /// <summary>Packets of the running burst.</summary>
    public int BurstPackets { get; private set; }

    /// <summary>Offset that the running burst's first packet names.</summary>
    public ulong BurstOffset { get; private set; }

    /// <summary>Payload bytes of the running burst.</summary>
    public int BurstBytes { get; private set; }

    /// <summary>Retransmission rounds of the running burst so far.</summary>
    public int Round { get; private set; }

    /// <summary>Dump bytes that the client believes stored; the next of its bursts starts here.</summary>
    public ulong AckedBytes { get; private set; }

    public ulong DumpBytes => _options.DumpBytes;

    /// <summary>The NIC transmits nothing before <paramref name="untilUs"/>; without effect on a client whose NIC has no queue.</summary>
    public void StallNic(long untilUs) => _nic?.Stall(untilUs);

    /// <summary>The running burst is acked, as far as the kernel knows: on to the next.</summary>
    private void Advance(long nowUs)
    {
        CountTime(nowUs - _burstStartedUs);
        BurstBase += (uint)BurstPackets;
        if (State == ClientState.Vmcore && !_staleIsRunning)
            AckedBytes += (ulong)BurstBytes;

        bool keyFirst = _options.Era == KernelEra.FreeBsd13;
        bool hasKey = !_options.Key.IsEmpty;
        switch (State)
        {
            case ClientState.Herald when keyFirst && hasKey:
                SendBurst(ClientState.Key, _options.Key.Span, nowUs);
                break;
            case ClientState.Herald:
            case ClientState.Key when keyFirst:
            case ClientState.Vmcore when AckedBytes < DumpBytes:
                SendVmcore(nowUs);
                break;
            case ClientState.Vmcore when !_options.KernelDumpHeader.IsEmpty:
                SendBurst(ClientState.Kdh, _options.KernelDumpHeader.Span, nowUs);
                break;
            case ClientState.Vmcore or ClientState.Kdh when !keyFirst && hasKey:
                SendBurst(ClientState.Key, _options.Key.Span, nowUs);
                break;
            case ClientState.Vmcore or ClientState.Kdh or ClientState.Key when _options.SendsFinished:
                BurstBase = _options.FinishedSeqno ?? BurstBase;
                SendBurst(ClientState.Finished, [], nowUs);
                break;
            default:
                End(ClientState.Done);
                break;
        }
    }

    private void CountTime(long burstUs)
    {
        if (State == ClientState.Herald)
            _counters.HeraldUs = burstUs;
        else if (State == ClientState.Vmcore)
            _counters.LongestBurstUs = Math.Max(_counters.LongestBurstUs, burstUs);
        else if (State == ClientState.Finished)
            _counters.FinishedUs = burstUs;
    }

    private void SendVmcore(long nowUs)
    {
        _staleIsRunning = _options.StaleBurst is not null && !_staleIsSent;
        if (_staleIsRunning)
        {
            _staleIsSent = true;
            SendBurst(ClientState.Vmcore, _options.StaleBurst!.Bytes.Span, nowUs, _options.StaleBurst.Offset);
            return;
        }

        bool isFirst = AckedBytes == 0;
        ulong left = DumpBytes - AckedBytes;
        var step = isFirst ? new BurstStep(_options.FirstBurstBytes) : _options.BurstPlan.StepAt(AckedBytes, left);
        int bytes = (int)Math.Min(left, (ulong)Math.Clamp(step.Bytes, 1, WellKnown.BurstBytes));
        StartBurst(ClientState.Vmcore, bytes, isFirst ? _options.FirstBurstOffset ?? 0 : AckedBytes);
        if (step.PauseUs > 0)
        {
            _retransmitUs = _lookUs = Never;
            _resumeUs = nowUs + step.PauseUs;
        }
        else
            Resume(nowUs);
    }

    /// <summary>Copies the running burst of the dump into the buffer and sends it.</summary>
    private void Resume(long nowUs)
    {
        _resumeUs = Never;
        _nic?.OnBufferReused(BurstBytes);
        _content(AckedBytes, _buffer.AsSpan(0, BurstBytes));
        SendRound(nowUs);
    }

    private void SendBurst(ClientState state, ReadOnlySpan<byte> bytes, long nowUs, ulong offset = 0)
    {
        StartBurst(state, bytes.Length, offset);
        _nic?.OnBufferReused(bytes.Length);
        bytes.CopyTo(_buffer);
        SendRound(nowUs);
    }

    private void StartBurst(ClientState state, int bytes, ulong offset)
    {
        State = state;
        BurstBytes = bytes;
        BurstOffset = offset;
        BurstPackets = Math.Max(1, (bytes + _payloadBytes - 1) / _payloadBytes);
        Round = 0;
        _wantAcks = _gotAcks = 0;
        _counters.Bursts++;
    }

    /// <summary>Sends every packet of the running burst that does not look acked.</summary>
    private void SendRound(long nowUs)
    {
        if (Round == 0)
            _burstStartedUs = nowUs;
        for (int index = 0; index < BurstPackets; index++)
        {
            ulong bit = AckBit(index);
            if ((_gotAcks & bit) != 0)
                continue;

            int at = index * _payloadBytes;
            int length = Math.Min(BurstBytes - at, _payloadBytes);
            var header = new MessageHeader(TypeOf(State), BurstBase + (uint)index, BurstOffset + (ulong)at, (uint)length);
            _wantAcks |= bit;
            _counters.Packets++;
            _counters.PayloadBytes += length;
            if (Round > 0)
                _counters.RetransmittedPackets++;
            if (_nic is null)
                Transmit(header, at);
            else
                _nic.Enqueue(header, at, nowUs);
        }

        StartWaiting(nowUs);
    }

    private void TransmitQueued(long nowUs)
    {
        while (_nic is not null && _nic.TryTake(nowUs, out var entry))
        {
            if (entry.IsCorrupted)
                _counters.CorruptedInQueue++;
            else
                Transmit(entry.Header, entry.BufferOffset);
        }
    }

    private void Transmit(in MessageHeader header, int bufferOffset)
    {
        int length = (int)header.Length;
        header.Write(_datagram);
        _buffer.AsSpan(bufferOffset, length).CopyTo(_datagram.AsSpan(MessageHeader.SizeBytes));
        _sink.Send(_datagram.AsSpan(0, MessageHeader.SizeBytes + length));
    }

    private static MessageType TypeOf(ClientState state) => state switch
    {
        ClientState.Herald => MessageType.Herald,
        ClientState.Key => MessageType.EkcdKey,
        ClientState.Vmcore => MessageType.Vmcore,
        ClientState.Kdh => MessageType.Kdh,
        _ => MessageType.Finished,
    };
}
