using System.Net;
using System.Net.Sockets;

namespace NetdumpCollector.Transport.Portable;

/// <summary>Polls with <see cref="Socket.Select(System.Collections.IList, System.Collections.IList, System.Collections.IList, TimeSpan)"/>; a socket connected to itself takes wake-ups.</summary>
internal sealed class PortableEventLoop : EventLoop
{
    // Where a socket holds more, it is visited again in the next round, after the others.
    private const int MaxDatagramsPerVisit = ReceivePool.SlotCount;

    private readonly Dictionary<Socket, BoundSocket> _bound = [];
    private readonly List<Socket> _ready = [];
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
            Pool.Dispose();
            throw new EndpointException($"cannot create event loop {name}: {failure.Message}", PortableEndpoint.Map(failure.SocketErrorCode), failure);
        }
    }

    /// <summary>Address for calls that send or receive; valid until the next one.</summary>
    public PortableAddress Scratch { get; } = new();

    public void Watch(BoundSocket socket) => _bound.Add(socket.Socket, socket);

    /// <summary>Stops polling <paramref name="socket"/>, which is about to be closed.</summary>
    public void Forget(Socket socket) => _bound.Remove(socket);

    private protected override void PollSockets(int waitMs)
    {
        _ready.Clear();
        _ready.Add(_wake);
        _ready.AddRange(_bound.Keys);
        Socket.Select(_ready, null, null, TimeSpan.FromMilliseconds(waitMs));
        RefreshNow();

        foreach (Socket socket in _ready)
        {
            if (socket == _wake)
                TakeWakeUps();
            else if (_bound.TryGetValue(socket, out BoundSocket? bound))
                Visit(bound);
        }
    }

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

    private unsafe void Visit(BoundSocket bound)
    {
        try
        {
            do
                Batch.Add(bound.Receive(Pool.Slot(Batch.Count), Scratch));
            while (Batch.Count < MaxDatagramsPerVisit && bound.Socket.Poll(TimeSpan.Zero, SelectMode.SelectRead));
        }
        catch (SocketException)
        {
            // Nothing there after all, or the answer to an earlier send was reported instead of a datagram.
        }
        Deliver(bound.Endpoint, bound.Endpoint.Receiver, bound.Endpoint.ManySources);
    }

    private void TakeWakeUps()
    {
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
}
