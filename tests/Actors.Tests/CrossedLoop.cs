using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>An event loop whose herald socket takes the place of another loop's, so that it gets what belongs to that one.</summary>
internal sealed class CrossedLoop(IEventLoop loop, CrossedLoop.Steering steering) : IEventLoop
{
    /// <summary>What herald sockets of all loops received.</summary>
    internal sealed class Steering
    {
        private long _right;
        private long _wrong;

        /// <summary>Datagrams that came to the loop that their sender belongs to.</summary>
        public long Right => Volatile.Read(ref _right);

        /// <summary>Datagrams that came to another one.</summary>
        public long Wrong => Volatile.Read(ref _wrong);

        public void Add(bool isRight, int count) => Interlocked.Add(ref (isRight ? ref _right : ref _wrong), count);
    }

    public bool IsCurrent => loop.IsCurrent;

    public long NowUs => loop.NowUs;

    public TimeSpan BusyTime => loop.BusyTime;

    public void Start() => loop.Start();

    public void Post(ILoopWork work) => loop.Post(work);

    public void SetTimer(LoopTimer timer, long dueUs) => loop.SetTimer(timer, dueUs);

    public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver) => options.Shards == 1
        ? loop.Open(options, receiver)
        : loop.Open(options with { Shard = options.Shards - 1 - options.Shard }, new Receiver(receiver, steering, options.Shard, options.Shards));

    public void BeginBlockingCall(IStallObserver observer) => loop.BeginBlockingCall(observer);

    public bool EndBlockingCall() => loop.EndBlockingCall();

    public void Dispose() => loop.Dispose();

    private sealed class Receiver(IDatagramReceiver receiver, Steering steering, int shard, int shards) : IDatagramReceiver
    {
        public void OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
        {
            steering.Add(SourceShards.ShardOf(datagrams[0].Remote, shards) == shard, datagrams.Length);
            receiver.OnDatagrams(endpoint, datagrams);
        }
    }
}
