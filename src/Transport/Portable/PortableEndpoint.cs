using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Portable;

/// <summary>A UDP socket of a <see cref="PortableEventLoop"/>.</summary>
/// <remarks>
/// System.Net.Sockets cannot choose the source address of one datagram. Bound to <see cref="Ipv4.Any"/>, the endpoint therefore opens one more
/// socket of the same port for each local address that it answers from; from then on that socket also receives what is sent to
/// this address, for the same receiver. Limits: where the system refuses such a socket, or after <see cref="MaxAnsweringSockets"/>
/// of them, the system picks the source address, which is right on a host with one address. At the moment an answering socket is opened, another
/// program of the same user that asks for it (SO_REUSEADDR) could share the port. The receive buffer is granted per socket.
/// </remarks>
internal sealed class PortableEndpoint : IUdpEndpoint
{
    /// <summary>A bound on descriptors for hosts with a whole network of local addresses, as 127.0.0.0/8 is.</summary>
    private const int MaxAnsweringSockets = 64;

    private const int AckBytes = 4;

    private readonly PortableEventLoop _loop;
    private readonly Socket _socket;
    private readonly int _receiveBufferAskedBytes;
    private readonly Dictionary<Ipv4, Socket> _answering = [];
    private bool _isClosed;

    private PortableEndpoint(PortableEventLoop loop, Socket socket, EndpointOptions options, IDatagramReceiver receiver)
    {
        _loop = loop;
        _socket = socket;
        _receiveBufferAskedBytes = options.ReceiveBufferBytes;
        Address = options.Address;
        Port = (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;
        ReceiveBufferBytes = socket.ReceiveBufferSize;
        ManySources = options.ManySources;
        Receiver = receiver;
    }

    public Ipv4 Address { get; }

    public ushort Port { get; }

    public int ReceiveBufferBytes { get; }

    /// <summary>Always 0: System.Net.Sockets has no such count.</summary>
    public long Drops => 0;

    public IDatagramReceiver Receiver { get; }

    public bool ManySources { get; }

    /// <exception cref="EndpointException">The address or port cannot be had.</exception>
    public static PortableEndpoint Open(PortableEventLoop loop, EndpointOptions options, IDatagramReceiver receiver)
    {
        if (options.Shards > 1)
            throw EndpointFailure.Create(options, EndpointError.Other, "the portable transport cannot share a port among event loops; use one");

        Socket? socket = null;
        try
        {
            socket = CreateSocket(options.ReceiveBufferBytes);
            // Before the first datagram can arrive.
            if (options.Address == Ipv4.Any)
                socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.PacketInformation, true);
            socket.Bind(new IPEndPoint(options.Address.ToIPAddress(), options.Port));
        }
        catch (SocketException failure)
        {
            socket?.Dispose();
            throw EndpointFailure.Create(options, Map(failure.SocketErrorCode), failure.Message, failure);
        }

        PortableEndpoint endpoint = new(loop, socket, options, receiver);
        loop.Watch(new(socket, options.Address, endpoint));
        return endpoint;
    }

    public void SendAcks(Ipv4 local, Ipv4 remote, ushort remotePort, ReadOnlySpan<uint> seqnos)
    {
        Debug.Assert(_isClosed || _loop.IsCurrent, "endpoints belong to the loop's thread");
        if (_isClosed)
            return;

        Socket socket = Address == Ipv4.Any && local != Ipv4.Any ? AnsweringSocket(local) : _socket;
        Span<byte> ack = stackalloc byte[AckBytes];
        foreach (uint seqno in seqnos)
        {
            BinaryPrimitives.WriteUInt32BigEndian(ack, seqno);
            if (!TrySend(socket, remote, remotePort, ack))
                return;
        }
    }

    public void Send(Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram)
    {
        Debug.Assert(_isClosed || _loop.IsCurrent, "endpoints belong to the loop's thread");
        if (!_isClosed)
            TrySend(_socket, remote, remotePort, datagram);
    }

    public void Dispose()
    {
        if (_isClosed)
            return;

        _isClosed = true;
        Close(_socket);
        foreach (Socket socket in _answering.Values)
        {
            if (socket != _socket)
                Close(socket);
        }
    }

    /// <summary>What a socket error means to whoever wanted the socket.</summary>
    public static EndpointError Map(SocketError error) => error switch
    {
        SocketError.AddressAlreadyInUse => EndpointError.PortTaken,
        SocketError.AddressNotAvailable => EndpointError.AddressNotLocal,
        SocketError.AccessDenied => EndpointError.NotPermitted,
        SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable => EndpointError.NoDescriptors,
        _ => EndpointError.Other,
    };

    private static Socket CreateSocket(int receiveBufferBytes)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { Blocking = false };
        // Linux grants what it may, BSD refuses what is too much.
        for (int askedBytes = receiveBufferBytes; askedBytes > 0; askedBytes /= 2)
        {
            try
            {
                socket.ReceiveBufferSize = askedBytes;
                break;
            }
            catch (SocketException)
            {
                // Asked again for half.
            }
        }
        return socket;
    }

    private Socket AnsweringSocket(Ipv4 local)
    {
        if (_answering.TryGetValue(local, out Socket? socket))
            return socket;
        if (_answering.Count >= MaxAnsweringSockets)
            return _socket;

        socket = OpenAnsweringSocket(local) ?? _socket;
        _answering.Add(local, socket);
        return socket;
    }

    private Socket? OpenAnsweringSocket(Ipv4 local)
    {
        Socket? socket = null;
        try
        {
            socket = CreateSocket(_receiveBufferAskedBytes);
            // Only for the moment of binding, and after the port was had without it: a taken port stays an error, for this process and for others.
            SetShared(socket, true);
            SetShared(_socket, true);
            socket.Bind(new IPEndPoint(local.ToIPAddress(), Port));
        }
        catch (SocketException)
        {
            socket?.Dispose();
            return null;
        }
        finally
        {
            SetShared(_socket, false);
        }

        SetShared(socket, false);
        _loop.Watch(new(socket, local, this));
        return socket;
    }

    private static void SetShared(Socket socket, bool shared)
    {
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, shared);
        }
        catch (SocketException)
        {
            // Windows does not change it on a bound socket, and there a port bound to any address can be bound to one more without it.
        }
    }

    private bool TrySend(Socket socket, Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram)
    {
        _loop.Scratch.Set(remote, remotePort);
        // An ICMP answer to an earlier datagram is reported once, in place of this send.
        for (int attempt = 0; attempt < 2; attempt++)
        {
            try
            {
                socket.SendTo(datagram, SocketFlags.None, _loop.Scratch.SocketAddress);
                return true;
            }
            catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionRefused or SocketError.ConnectionReset)
            {
            }
            catch (SocketException)
            {
                return false;
            }
        }
        return false;
    }

    private void Close(Socket socket)
    {
        _loop.Forget(socket);
        socket.Dispose();
    }
}
