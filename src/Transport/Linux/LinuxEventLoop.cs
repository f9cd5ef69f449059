using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Transport.Linux;

/// <summary>The sockets of a loop that is polled with epoll, see <see cref="LinuxLoopThread"/>.</summary>
internal sealed unsafe class LinuxEventLoop : EventLoop
{
    private const ulong WakeKey = 0;

    // Keys are never used twice, so that an event of a closed endpoint finds nobody.
    private readonly Dictionary<ulong, LinuxEndpoint> _endpoints = [];
    private readonly int _epoll;
    private readonly int _wake;
    private ulong _lastKey = WakeKey;

    public LinuxEventLoop(string name, Action<Exception> onError) : base(name, onError)
    {
        _epoll = Libc.EpollCreate(Libc.EpollCloexec);
        int error = Libc.LastError;
        _wake = _epoll < 0 ? -1 : Libc.EventDescriptor(0, Libc.EfdNonblock | Libc.EfdCloexec);
        // Edge-triggered, each write is an event of its own and nobody has to read the counter back.
        if (_wake < 0 || !Watch(_wake, Libc.EpollIn | Libc.EpollEdgeTriggered, WakeKey))
        {
            error = _epoll < 0 ? error : Libc.LastError;
            Close(_wake);
            Close(_epoll);
            throw new EndpointException($"cannot create event loop {name}: {Marshal.GetPInvokeErrorMessage(error)}", LinuxEndpoint.Map(error));
        }
    }

    public MessageSender Sender { get; } = new();

    /// <summary>Waits for events; returns how many there are.</summary>
    public int Wait(byte* events, int maxEvents, int waitMs)
    {
        int count = Libc.EpollWait(_epoll, events, maxEvents, waitMs);
        if (count < 0 && Libc.LastError != Libc.EINTR)
            throw new InvalidOperationException($"epoll_wait: {Marshal.GetPInvokeErrorMessage(Libc.LastError)}");
        return count;
    }

    /// <summary>Finds the endpoint that an event is about, unless it was closed meanwhile.</summary>
    public bool TryGetEndpoint(ulong key, [NotNullWhen(true)] out LinuxEndpoint? endpoint) => _endpoints.TryGetValue(key, out endpoint);

    /// <summary>Stops polling <paramref name="endpoint"/>, which is about to close its socket.</summary>
    public void Forget(LinuxEndpoint endpoint)
    {
        _endpoints.Remove(endpoint.Key);
        // Closing alone does not end the events while a child process that is just being started holds a copy of the descriptor.
        byte* unused = stackalloc byte[EpollEvent.MaxSizeBytes];
        Libc.EpollControl(_epoll, Libc.EpollCtlDel, endpoint.Descriptor, unused);
    }

    private protected override LoopThread CreateThread() => new LinuxLoopThread(this);

    private protected override void Wake()
    {
        ulong one = 1;
        Libc.Write(_wake, &one, sizeof(ulong));
    }

    private protected override IUdpEndpoint OpenSocket(EndpointOptions options, IDatagramReceiver receiver)
    {
        var endpoint = LinuxEndpoint.Open(this, ++_lastKey, options, receiver);
        if (!Watch(endpoint.Descriptor, Libc.EpollIn, endpoint.Key))
        {
            int error = Libc.LastError;
            endpoint.Dispose();
            throw EndpointFailure.Create(options, LinuxEndpoint.Map(error), Marshal.GetPInvokeErrorMessage(error));
        }

        _endpoints.Add(endpoint.Key, endpoint);
        return endpoint;
    }

    private protected override void CloseSockets()
    {
        foreach (LinuxEndpoint endpoint in _endpoints.Values.ToArray())
            endpoint.Dispose();
        Close(_wake);
        Close(_epoll);
        Sender.Dispose();
    }

    private bool Watch(int descriptor, uint events, ulong key)
    {
        byte* @event = stackalloc byte[EpollEvent.MaxSizeBytes];
        EpollEvent.Write(@event, events, key);
        return Libc.EpollControl(_epoll, Libc.EpollCtlAdd, descriptor, @event) == 0;
    }

    private static void Close(int descriptor)
    {
        if (descriptor >= 0)
            Libc.Close(descriptor);
    }
}
