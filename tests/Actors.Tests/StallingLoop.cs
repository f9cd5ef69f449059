using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>An event loop on which a call that may block does so when the test wants it: its thread is held up as by a device that does not answer.</summary>
internal sealed class StallingLoop(IEventLoop loop, StallingLoop.Gate gate) : IEventLoop
{
    /// <summary>Lets calls through, or holds the next one up.</summary>
    internal sealed class Gate : IDisposable
    {
        private readonly ManualResetEventSlim _open = new(initialState: true);
        private int _toHold;

        /// <summary>Set when a call is held up.</summary>
        public ManualResetEventSlim Holds { get; } = new();

        public void Dispose()
        {
            _open.Dispose();
            Holds.Dispose();
        }

        /// <summary>Holds the next call up until <see cref="Open"/>.</summary>
        public void HoldNext()
        {
            Holds.Reset();
            _open.Reset();
            Volatile.Write(ref _toHold, 1);
        }

        public void Open() => _open.Set();

        public void Pass()
        {
            if (Interlocked.Exchange(ref _toHold, 0) == 0)
                return;
            Holds.Set();
            _open.Wait();
        }
    }

    public bool IsCurrent => loop.IsCurrent;

    public long NowUs => loop.NowUs;

    public TimeSpan BusyTime => loop.BusyTime;

    public void Start() => loop.Start();

    public void Post(ILoopWork work) => loop.Post(work);

    public void SetTimer(LoopTimer timer, long dueUs) => loop.SetTimer(timer, dueUs);

    public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver) => loop.Open(options, receiver);

    public void BeginBlockingCall(IStallObserver observer)
    {
        loop.BeginBlockingCall(observer);
        gate.Pass();
    }

    public bool EndBlockingCall() => loop.EndBlockingCall();

    public void Dispose() => loop.Dispose();
}
