using BenchmarkDotNet.Attributes;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Micro;

/// <summary>A message to an actor on an event loop: from the loop itself, as a burst reaches its session, and from another thread.</summary>
public class ActorMessages
{
    private const int Messages = 100_000;

    private readonly Probe.Count _message = new();
    private readonly Probe _probe = new();
    private ActorSystem _system = new("micro");
    private IEventLoop? _loop;
    private ActorRef<Probe.Count>? _actor;
    private Volley? _volley;

    [GlobalSetup]
    public void Start()
    {
        _loop = Transports.Default.CreateLoop("micro", static failure => Environment.FailFast("the loop met an exception", failure));
        _loop.Start();
        _system = new("micro");
        _actor = _system.Spawn("probe", new LoopDispatcher(_loop), () => _probe);
        _volley = new(_actor, _message);
        TellAndWait();
    }

    [GlobalCleanup]
    public void Stop()
    {
        _system.StopAsync(TimeSpan.FromSeconds(10)).GetAwaiter().GetResult();
        _loop?.Dispose();
    }

    /// <summary>Called on the loop's thread.</summary>
    [Benchmark(OperationsPerInvoke = Messages)]
    public long TryHandleNow()
    {
        long handled = _probe.Handled;
        _loop!.Post(_volley!);
        return WaitFor(handled + Messages);
    }

    /// <summary>Until it is handled, the wake-up of a waiting loop included.</summary>
    [Benchmark]
    public long TellAndWait()
    {
        long handled = _probe.Handled;
        if (!_actor!.Tell(_message))
            throw new InvalidOperationException("the mailbox is full");
        return WaitFor(handled + 1);
    }

    private long WaitFor(long handled)
    {
        var wait = new SpinWait();
        while (_probe.Handled < handled)
            wait.SpinOnce(sleep1Threshold: -1);
        return handled;
    }

    private sealed class Probe : Actor<Probe.Count>
    {
        private long _handled;

        public sealed record Count;

        public long Handled => Volatile.Read(ref _handled);

        protected override void Receive(Count message) => Volatile.Write(ref _handled, _handled + 1);
    }

    private sealed class Volley(ActorRef<Probe.Count> actor, Probe.Count message) : ILoopWork
    {
        public void Run()
        {
            for (int i = 0; i < Messages; i++)
            {
                if (!actor.TryHandleNow(message))
                    throw new InvalidOperationException("the actor did not take the message on its own loop");
            }
        }
    }
}
