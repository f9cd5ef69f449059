using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>What takeover works with.</summary>
/// <param name="Directory">The shared directory.</param>
/// <param name="HeraldPort">The port that heralds come to.</param>
/// <param name="Ingresses">Told of what was found.</param>
/// <param name="Silence">A dump that no node has heard of for so long is ended.</param>
/// <param name="Metrics">Counts what is sought.</param>
/// <param name="Logger">Told of what cannot be taken over.</param>
public sealed record TakeoverSetup(DumpDirectory Directory, ushort HeraldPort, IngressGroup Ingresses, TimeSpan Silence, CollectorMetrics Metrics, ILogger Logger)
{
    /// <summary>Runs scripts, also those that a node which is gone has left; null where none is to run.</summary>
    public ActorRef<ScriptActor.Message>? Scripts { get; init; }

    /// <summary>Hashes dumps, likewise; null where none is to be.</summary>
    public ActorRef<HashActor.Message>? Hashes { get; init; }
}

/// <summary>Has sessions of other nodes sought whose packets come here: the actors and threads that do it.</summary>
public sealed class Takeovers : IDisposable
{
    /// <summary>A claim waits for the directory a few times, and a node that dies leaves hundreds.</summary>
    private const int Seekers = 16;

    // Those of left-overs and follow-ups come on top: joining a dump takes its time.
    private readonly ThreadDispatcher _threads = new("takeover", Seekers + 2);
    private readonly DumpDirectory _directory;
    private readonly ActorRef<TakeoverActor.Message>[] _seekers;

    public Takeovers(ActorSystem system, TakeoverSetup setup)
    {
        _directory = setup.Directory;
        _seekers = [.. Enumerable.Range(0, Seekers).Select(i => system.Spawn<TakeoverActor.Message>($"takeover-{i}", _threads,
            () => new TakeoverActor(setup), new() { MailboxCapacity = 4096, Strategy = SupervisorStrategy.Resume }))];
        system.Spawn<LeftOversActor.Look>("left-overs", _threads, () => new LeftOversActor(setup), new() { MailboxCapacity = 4, Strategy = SupervisorStrategy.Resume });
        system.Spawn<FollowUpsActor.Look>("follow-ups", _threads, () => new FollowUpsActor(setup), new() { MailboxCapacity = 4, Strategy = SupervisorStrategy.Resume });
    }

    public ThreadDispatcher Threads => _threads;

    /// <returns>False when too many are being sought; the client's next packet asks again.</returns>
    internal bool Seek(FlowKey flow) => _seekers[(uint)flow.GetHashCode() % Seekers].Tell(new TakeoverActor.Seek(flow, _directory.NextLook));

    public void Dispose() => _threads.Dispose();
}
