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
    private const int NapNs = 100_000;
    private const int TimerSlackNs = 1000;

    private readonly LinuxEventLoop _loop;
    private readonly byte* _events = (byte*)NativeMemory.Alloc(MaxEvents, EpollEvent.MaxSizeBytes);
    private readonly MessageReceiver _receiver;
    private Ipv4 _lastSource;

    // What is being visited and how far that is: another thread may have to go on from here.
    private LinuxEndpoint? _visited;
    private int _messages;
    private int _message;
    private int _offset;
    private int _left;
    private bool _tookOtherSource;
    private bool _tookTrain;

    public LinuxLoopThread(LinuxEventLoop loop) : base(loop)
    {
        _loop = loop;
        _receiver = new(Pool);
    }

    public override bool PollSockets(int waitMs)
    {
        _loop.BeginWait();
        int count = _loop.Wait(_events, MaxEvents, waitMs);
        _loop.EndWait();
        long sendsBefore = _loop.Sender.SendCount;
        (_tookOtherSource, _tookTrain) = (false, false);
        for (int i = 0; i < count; i++)
        {
            if (_loop.TryGetEndpoint(EpollEvent.ReadKey(_events, i), out LinuxEndpoint? endpoint) && !Visit(endpoint))
                return false;
        }

        // Only parts of bursts, of several hosts: taken together with their rest they cost one wait, receive and write each. A single host would wait for its acks meanwhile, and trains come whole.
        if (_tookOtherSource && !_tookTrain && _loop.Sender.SendCount == sendsBefore && !_loop.HasWork)
        {
            _loop.BeginWait();
            Nap();
            _loop.EndWait();
        }

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

    private protected override bool FinishReception(LoopThread runner)
    {
        if (!base.FinishReception(runner))
            return false;
        if (_visited is null)
            return true;

        // The call that is stuck goes on using what it was given, also the list of it.
        Batch = new();
        return TakeMessages(runner);
    }

    private bool Visit(LinuxEndpoint endpoint)
    {
        _visited = endpoint;
        _left = MaxDatagramsPerVisit;
        do
        {
            _messages = _receiver.Receive(endpoint.Descriptor);
            (_message, _offset) = (0, 0);
            if (!TakeMessages(this))
                return false;
        }
        while (_messages == MessageReceiver.MaxMessages && _left > 0 && !endpoint.IsClosed);

        _visited = null;
        return true;
    }

    private bool TakeMessages(LoopThread runner)
    {
        for (; _message < _messages && !_visited!.IsClosed; _message++, _offset = 0)
        {
            if (!_receiver.TryRead(_message, _visited.Address, out Datagram train, out int segmentBytes))
                continue;
            _tookOtherSource |= train.Remote != _lastSource;
            _lastSource = train.Remote;
            _tookTrain |= segmentBytes < train.Length;
            if (!AddTrain(runner, train, segmentBytes))
                return false;
        }
        return Deliver(runner);
    }

    private bool AddTrain(LoopThread runner, in Datagram train, int segmentBytes)
    {
        do
        {
            if (Batch.IsFull && !Deliver(runner))
                return false;

            int length = Math.Min(segmentBytes, train.Length - _offset);
            Batch.Add(new(train.Data + _offset, length, train.Remote, train.RemotePort, train.Local));
            _offset += length;
            _left--;
        }
        while (_offset < train.Length);
        return true;
    }

    private bool Deliver(LoopThread runner)
    {
        if (!_visited!.IsClosed)
            return Deliver(runner, _visited, _visited.Receiver, _visited.ManySources);

        Batch.Clear();
        return true;
    }
}
