using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Linux;

/// <summary>Polls a loop's sockets with epoll and receives with recvmmsg.</summary>
internal sealed unsafe class LinuxLoopThread : LoopThread
{
    private const int MaxEvents = 64;

    // Where a socket holds more, it is visited again in the next round, after the others.
    private const int MaxDatagramsPerVisit = 1024;

    // How long a nap is, and how exactly: by default Linux adds up to 50 us.
    private const int NapNs = 50_000;
    private const int TimerSlackNs = 1000;

    private readonly LinuxEventLoop _loop;
    private readonly byte* _events = (byte*)NativeMemory.Alloc(MaxEvents, EpollEvent.MaxSizeBytes);
    private readonly MessageReceiver _receiver;
    private Ipv4 _lastSource;
    private bool _tookOtherSource;
    private bool _tookTrain;

    public LinuxLoopThread(LinuxEventLoop loop) : base(loop)
    {
        _loop = loop;
        _receiver = new(Pool);
    }

    public override bool PollSockets(int waitMs)
    {
        int count = _loop.Wait(_events, MaxEvents, waitMs);
        _loop.RefreshNow();
        long sendsBefore = _loop.Sender.SendCount;
        (_tookOtherSource, _tookTrain) = (false, false);
        for (int i = 0; i < count; i++)
        {
            if (_loop.TryGetEndpoint(EpollEvent.ReadKey(_events, i), out LinuxEndpoint? endpoint) && !Visit(endpoint))
                return false;
        }

        // Only parts of bursts, of several hosts: taken together with their rest they cost one wait, receive and write each. A single host would wait for its acks meanwhile, and trains come whole.
        if (_tookOtherSource && !_tookTrain && _loop.Sender.SendCount == sendsBefore && !_loop.HasWork)
            Nap();
        return true;
    }

    public override void Dispose()
    {
        _receiver.Dispose();
        NativeMemory.Free(_events);
        base.Dispose();
    }

    private protected override void Prepare() => Libc.ProcessControl(Libc.PrSetTimerslack, TimerSlackNs);

    private static void Nap()
    {
        TimeSpec duration = new() { Nanoseconds = NapNs };
        Libc.Sleep(&duration, null);
    }

    private bool Visit(LinuxEndpoint endpoint)
    {
        int left = MaxDatagramsPerVisit;
        int messages;
        do
        {
            messages = _receiver.Receive(endpoint.Descriptor);
            for (int i = 0; i < messages && !endpoint.IsClosed; i++)
            {
                if (!_receiver.TryRead(i, endpoint.Address, out Datagram train, out int segmentBytes))
                    continue;
                _tookOtherSource |= train.Remote != _lastSource;
                _lastSource = train.Remote;
                _tookTrain |= segmentBytes < train.Length;
                if (!AddTrain(endpoint, train, segmentBytes, ref left))
                    return false;
            }
            if (!Deliver(endpoint))
                return false;
        }
        while (messages == MessageReceiver.MaxMessages && left > 0 && !endpoint.IsClosed);
        return true;
    }

    private bool AddTrain(LinuxEndpoint endpoint, in Datagram train, int segmentBytes, ref int left)
    {
        int offset = 0;
        do
        {
            if (Batch.IsFull && !Deliver(endpoint))
                return false;

            int length = Math.Min(segmentBytes, train.Length - offset);
            Batch.Add(new(train.Data + offset, length, train.Remote, train.RemotePort, train.Local));
            offset += length;
            left--;
        }
        while (offset < train.Length);
        return true;
    }

    private bool Deliver(LinuxEndpoint endpoint)
    {
        if (!endpoint.IsClosed)
            return Deliver(endpoint, endpoint.Receiver, endpoint.ManySources);

        Batch.Clear();
        return true;
    }
}
