using System.Buffers.Binary;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Send;

/// <summary>A <see cref="KernelClient"/> with a socket of its own; everything but construction and <see cref="AckedBytes"/> belongs to its loop's thread.</summary>
internal sealed class SendClient : LoopTimer, IDatagramReceiver, IPacketSink
{
    /// <summary>Acks of several bursts.</summary>
    private const int ReceiveBufferBytes = 256 << 10;

    private readonly IEventLoop _loop;
    private readonly KernelClient _kernel;
    private readonly Ipv4 _server;
    private readonly FaultyPath<byte[]>? _outgoing;
    private readonly FaultyPath<Ack>? _incoming;
    private readonly Action _onEnded;
    private IUdpEndpoint? _endpoint;
    private ushort _serverPort;
    private bool _hasAck;
    private bool _ended;
    private long _ackedBytes;

    /// <summary>A client that is not open yet; <paramref name="onEnded"/> is called once, when nothing more will be sent.</summary>
    public SendClient(IEventLoop loop, SendOptions options, KernelClientOptions kernelOptions, ContentSource content, Random random, Action onEnded)
    {
        _loop = loop;
        _kernel = new(kernelOptions, content, this);
        _server = options.Server;
        _serverPort = options.Port;
        _onEnded = onEnded;
        if (options.Faults.IsPerfect)
            return;

        _outgoing = new(options.Faults, random, Transmit);
        _incoming = new(options.Faults, random, Accept);
    }

    /// <summary>Dump bytes that the server has acked; may be read from any thread.</summary>
    public long AckedBytes => Volatile.Read(ref _ackedBytes);

    /// <summary>The server has answered; may be read from any thread.</summary>
    public bool HasAck => Volatile.Read(ref _hasAck);

    public ClientState State => _kernel.State;

    /// <summary>What was being sent when the client failed.</summary>
    public ClientState EndedIn => _kernel.EndedIn;

    public KernelClientCounters Counters => _kernel.Counters;

    /// <summary>What went wrong on this side, or null.</summary>
    public string? Problem { get; private set; }

    /// <exception cref="EndpointException">The address or port cannot be had.</exception>
    public void Open(Ipv4 address, ushort port) =>
        _endpoint = _loop.Open(new() { Address = address, Port = port, ReceiveBufferBytes = ReceiveBufferBytes }, this);

    public void Start()
    {
        if (!_ended)
            Step(starting: true);
    }

    /// <summary>Ends the client where it is.</summary>
    public void Stop()
    {
        if (_ended)
            return;

        _kernel.Die();
        End();
    }

    public override void OnDue(long nowUs) => Step();

    void IDatagramReceiver.OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
    {
        foreach (ref readonly var datagram in datagrams)
        {
            // A kernel takes acks from the address it dumps to only, whatever the port.
            if (datagram.Remote != _server || datagram.Length != WellKnown.AckBytes)
                continue;

            var ack = new Ack(BinaryPrimitives.ReadUInt32BigEndian(datagram.Span), datagram.RemotePort);
            if (_incoming is null)
                Accept(ack);
            else
                _incoming.Carry(ack, _loop.NowUs);
        }

        Step();
    }

    void IPacketSink.Send(ReadOnlySpan<byte> datagram)
    {
        if (_outgoing is null)
            _endpoint?.Send(_server, _serverPort, datagram);
        else
            _outgoing.Carry(datagram.ToArray(), _loop.NowUs);
    }

    private void Transmit(byte[] datagram) => _endpoint?.Send(_server, _serverPort, datagram);

    private void Accept(Ack ack)
    {
        // The first ack's source port is the session's.
        if (!_hasAck)
            _serverPort = ack.Port;
        Volatile.Write(ref _hasAck, true);
        _kernel.OnAck(ack.Seqno, _loop.NowUs);
    }

    private void Step(bool starting = false)
    {
        if (_ended)
            return;

        long nowUs = _loop.NowUs;
        try
        {
            if (starting)
                _kernel.Start(nowUs);
            _outgoing?.Release(nowUs);
            _incoming?.Release(nowUs);
            _kernel.Poll(nowUs);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Problem = $"cannot read the dump: {exception.Message}";
            _kernel.Die();
        }

        Volatile.Write(ref _ackedBytes, (long)_kernel.AckedBytes);
        if (_kernel.HasEnded)
            End();
        else
            _loop.SetTimer(this, Math.Min(_kernel.NextWakeUs, Math.Min(_outgoing?.NextUs ?? long.MaxValue, _incoming?.NextUs ?? long.MaxValue)));
    }

    private void End()
    {
        _ended = true;
        _loop.SetTimer(this, long.MaxValue);
        _endpoint?.Dispose();
        _endpoint = null;
        _onEnded();
    }

    private readonly record struct Ack(uint Seqno, ushort Port);
}
