using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace NetdumpCollector.Transport.Portable;

/// <summary>The sockets of a loop that <see cref="PortableLoopThread"/> polls; one that is connected to itself takes wake-ups.</summary>
internal sealed class PortableEventLoop : EventLoop
{
    private readonly Dictionary<Socket, BoundSocket> _bound = [];
    private readonly Socket _wake;
    private readonly byte[] _wakeByte = new byte[1];

    public PortableEventLoop(string name, Action<Exception> onError) : base(name, onError)
    {
        try
        {
            _wake = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { Blocking = false };
            _wake.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            // Connected, it takes nothing from others.
            _wake.Connect(_wake.LocalEndPoint!);
        }
        catch (SocketException failure)
        {
            _wake?.Dispose();
            throw new EndpointException($"cannot create event loop {name}: {failure.Message}", PortableEndpoint.Map(failure.SocketErrorCode), failure);
        }
    }

    /// <summary>Address for calls that send or receive; valid until the next one.</summary>
    public PortableAddress Scratch { get; } = new();

    public void Watch(BoundSocket socket) => _bound.Add(socket.Socket, socket);

    /// <summary>Stops polling <paramref name="socket"/>, which is about to be closed.</summary>
    public void Forget(Socket socket) => _bound.Remove(socket);

    /// <summary>Adds every socket that is polled to <paramref name="sockets"/>.</summary>
    public void CollectSockets(List<Socket> sockets)
    {
        sockets.Add(_wake);
        sockets.AddRange(_bound.Keys);
    }

    /// <summary>Finds what <paramref name="socket"/> receives for, unless it was closed meanwhile.</summary>
    public bool TryGetBound(Socket socket, [NotNullWhen(true)] out BoundSocket? bound) => _bound.TryGetValue(socket, out bound);

    /// <summary>Empties <paramref name="socket"/> if it is the one that takes wake-ups.</summary>
    public void TakeWakeUps(Socket socket)
    {
        if (socket != _wake)
            return;

        try
        {
            while (_wake.Poll(TimeSpan.Zero, SelectMode.SelectRead))
                _wake.Receive(_wakeByte);
        }
        catch (SocketException)
        {
            // Nothing there after all.
        }
    }

    private protected override LoopThread CreateThread() => new PortableLoopThread(this);

    private protected override void Wake()
    {
        try
        {
            _wake.Send(_wakeByte);
        }
        catch (SocketException)
        {
            // Its buffer is full of wake-ups then.
        }
    }

    private protected override IUdpEndpoint OpenSocket(EndpointOptions options, IDatagramReceiver receiver) =>
        PortableEndpoint.Open(this, options, receiver);

    private protected override void CloseSockets()
    {
        foreach (PortableEndpoint endpoint in _bound.Values.Select(bound => bound.Endpoint).ToArray())
            endpoint.Dispose();
        _wake.Dispose();
    }
}
