using System.Diagnostics;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Linux;

/// <summary>A UDP socket of a <see cref="LinuxEventLoop"/>.</summary>
internal sealed unsafe class LinuxEndpoint : IUdpEndpoint
{
    // SO_MEMINFO: nine counters, the last is what the socket dropped (linux/sock_diag.h, SK_MEMINFO_DROPS).
    private const int MeminfoCount = 9;
    private const int MeminfoDrops = 8;

    private readonly LinuxEventLoop _loop;
    private bool _canSegment = true;
    private uint _lastDrops;
    private long _drops;

    private LinuxEndpoint(LinuxEventLoop loop, ulong key, int descriptor, EndpointOptions options, IDatagramReceiver receiver)
    {
        _loop = loop;
        Key = key;
        Descriptor = descriptor;
        Address = options.Address;
        ManySources = options.ManySources;
        Receiver = receiver;
    }

    public Ipv4 Address { get; }

    public ushort Port { get; private set; }

    public int ReceiveBufferBytes { get; private set; }

    public ulong Key { get; }

    public int Descriptor { get; }

    public IDatagramReceiver Receiver { get; }

    public bool ManySources { get; }

    public bool IsClosed { get; private set; }

    /// <summary>Acks leave in segments of one send, until the kernel has refused that.</summary>
    public bool CanSegment => _canSegment;

    /// <summary>Datagrams dropped so far; also those whose checksum was found wrong only when they were read.</summary>
    public long Drops
    {
        get
        {
            if (!IsClosed)
                CountDrops();
            return _drops;
        }
    }

    /// <exception cref="EndpointException">The address or port cannot be had.</exception>
    public static LinuxEndpoint Open(LinuxEventLoop loop, ulong key, EndpointOptions options, IDatagramReceiver receiver)
    {
        int descriptor = Libc.Socket(Libc.AfInet, Libc.SockDgram | Libc.SockNonblock | Libc.SockCloexec, 0);
        if (descriptor < 0)
            throw Failure(options);

        LinuxEndpoint endpoint = new(loop, key, descriptor, options, receiver);
        // Before the first datagram can arrive.
        endpoint.Configure(options.ReceiveBufferBytes);
        if (!endpoint.TryBind(options))
        {
            var failure = Failure(options);
            Libc.Close(descriptor);
            throw failure;
        }
        return endpoint;
    }

    public void SendAcks(Ipv4 local, Ipv4 remote, ushort remotePort, ReadOnlySpan<uint> seqnos)
    {
        Debug.Assert(IsClosed || _loop.IsCurrent, "endpoints belong to the loop's thread");
        if (!IsClosed)
            _loop.Sender.SendAcks(Descriptor, Address == Ipv4.Any ? local : Ipv4.Any, remote, remotePort, seqnos, ref _canSegment);
    }

    public void Send(Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram)
    {
        Debug.Assert(IsClosed || _loop.IsCurrent, "endpoints belong to the loop's thread");
        if (!IsClosed)
            _loop.Sender.Send(Descriptor, remote, remotePort, datagram);
    }

    public void Dispose()
    {
        if (IsClosed)
            return;

        CountDrops();
        IsClosed = true;
        _loop.Forget(this);
        Libc.Close(Descriptor);
    }

    /// <summary>What an error number of socket, bind or epoll_ctl means to whoever wanted the socket.</summary>
    public static EndpointError Map(int error) => error switch
    {
        Libc.EADDRINUSE => EndpointError.PortTaken,
        Libc.EADDRNOTAVAIL => EndpointError.AddressNotLocal,
        Libc.EACCES or Libc.EPERM => EndpointError.NotPermitted,
        Libc.EMFILE or Libc.ENFILE or Libc.ENOBUFS or Libc.ENOMEM => EndpointError.NoDescriptors,
        _ => EndpointError.Other,
    };

    private static EndpointException Failure(EndpointOptions options)
    {
        int error = Libc.LastError;
        return EndpointFailure.Create(options, Map(error), Marshal.GetPInvokeErrorMessage(error));
    }

    private void Configure(int receiveBufferBytes)
    {
        // SO_RCVBUFFORCE goes beyond net.core.rmem_max and needs CAP_NET_ADMIN.
        if (Libc.SetSocketOption(Descriptor, Libc.SolSocket, Libc.SoRcvbufforce, &receiveBufferBytes, sizeof(int)) != 0)
            Libc.SetSocketOption(Descriptor, Libc.SolSocket, Libc.SoRcvbuf, &receiveBufferBytes, sizeof(int));

        int granted = 0;
        uint lengthBytes = sizeof(int);
        Libc.GetSocketOption(Descriptor, Libc.SolSocket, Libc.SoRcvbuf, &granted, &lengthBytes);
        ReceiveBufferBytes = granted;

        // Where it is refused, datagrams come one by one.
        Libc.SetFlag(Descriptor, Libc.SolUdp, Libc.UdpGro);
        if (Address == Ipv4.Any)
            Libc.SetFlag(Descriptor, Libc.SolIp, Libc.IpPktinfo);
    }

    private bool TryBind(EndpointOptions options)
    {
        // Shard 0 takes the port as its own and shares it only then, so that the port of another group is taken for it.
        if (options.Shard > 0 && !Libc.SetFlag(Descriptor, Libc.SolSocket, Libc.SoReuseport))
            return false;

        SocketAddress4 address = new(Address, options.Port);
        uint lengthBytes = (uint)sizeof(SocketAddress4);
        if (Libc.Bind(Descriptor, &address, lengthBytes) != 0 || Libc.GetSocketName(Descriptor, &address, &lengthBytes) != 0)
            return false;

        Port = address.Port;
        if (options.Shard > 0)
            SourceSteering.TryAttach(Descriptor, options.Shards);
        return options.Shard > 0 || options.Shards == 1 || Libc.SetFlag(Descriptor, Libc.SolSocket, Libc.SoReuseport);
    }

    private void CountDrops()
    {
        // Asked for, not taken from SO_RXQ_OVFL, which reports a drop only with the next datagram that arrives.
        uint* counters = stackalloc uint[MeminfoCount];
        uint lengthBytes = MeminfoCount * sizeof(uint);
        if (Libc.GetSocketOption(Descriptor, Libc.SolSocket, Libc.SoMeminfo, counters, &lengthBytes) != 0 || lengthBytes < MeminfoCount * sizeof(uint))
            return;

        // The kernel's counter has 32 bits and wraps.
        _drops += counters[MeminfoDrops] - _lastDrops;
        _lastDrops = counters[MeminfoDrops];
    }
}
