using System.Runtime.InteropServices;

namespace NetdumpCollector.Transport.Linux;

/// <summary>Polls with epoll and receives with recvmmsg.</summary>
internal sealed unsafe class LinuxEventLoop : EventLoop
{
    private const int MaxEvents = 64;

    // Where a socket holds more, it is visited again in the next round, after the others.
    private const int MaxDatagramsPerVisit = 1024;

    private const ulong WakeKey = 0;

    // Keys are never used twice, so that an event of a closed endpoint finds nobody.
    private readonly Dictionary<ulong, LinuxEndpoint> _endpoints = [];
    private readonly int _epoll;
    private readonly int _wake;
    private readonly byte* _events;
    private readonly MessageReceiver _receiver;
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
            Pool.Dispose();
            throw new EndpointException($"cannot create event loop {name}: {Marshal.GetPInvokeErrorMessage(error)}", LinuxEndpoint.Map(error));
        }

        _events = (byte*)NativeMemory.Alloc(MaxEvents, EpollEvent.MaxSizeBytes);
        _receiver = new(Pool);
    }

    public MessageSender Sender { get; } = new();

    /// <summary>Stops polling <paramref name="endpoint"/>, which is about to close its socket.</summary>
    public void Forget(LinuxEndpoint endpoint)
    {
        _endpoints.Remove(endpoint.Key);
        // Closing alone does not end the events while a child process that is just being started holds a copy of the descriptor.
        byte* unused = stackalloc byte[EpollEvent.MaxSizeBytes];
        Libc.EpollControl(_epoll, Libc.EpollCtlDel, endpoint.Descriptor, unused);
    }

    private protected override void PollSockets(int waitMs)
    {
        int count = Libc.EpollWait(_epoll, _events, MaxEvents, waitMs);
        RefreshNow();
        if (count < 0 && Libc.LastError != Libc.EINTR)
            throw new InvalidOperationException($"epoll_wait: {Marshal.GetPInvokeErrorMessage(Libc.LastError)}");

        for (int i = 0; i < count; i++)
        {
            if (_endpoints.TryGetValue(EpollEvent.ReadKey(_events, i), out LinuxEndpoint? endpoint))
                Visit(endpoint);
        }
    }

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
        NativeMemory.Free(_events);
        _receiver.Dispose();
        Sender.Dispose();
    }

    private void Visit(LinuxEndpoint endpoint)
    {
        int left = MaxDatagramsPerVisit;
        int messages;
        do
        {
            messages = _receiver.Receive(endpoint.Descriptor);
            for (int i = 0; i < messages && !endpoint.IsClosed; i++)
            {
                if (_receiver.TryRead(i, endpoint.Address, out Datagram train, out int segmentBytes))
                    left -= AddTrain(endpoint, train, segmentBytes);
            }
            Deliver(endpoint);
        }
        while (messages == MessageReceiver.MaxMessages && left > 0 && !endpoint.IsClosed);
    }

    private int AddTrain(LinuxEndpoint endpoint, in Datagram train, int segmentBytes)
    {
        int count = 0;
        int offset = 0;
        do
        {
            if (Batch.IsFull)
                Deliver(endpoint);

            int length = Math.Min(segmentBytes, train.Length - offset);
            Batch.Add(new(train.Data + offset, length, train.Remote, train.RemotePort, train.Local));
            offset += length;
            count++;
        }
        while (offset < train.Length);
        return count;
    }

    private void Deliver(LinuxEndpoint endpoint)
    {
        if (endpoint.IsClosed)
            Batch.Clear();
        else
            Deliver(endpoint, endpoint.Receiver, endpoint.ManySources);
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
