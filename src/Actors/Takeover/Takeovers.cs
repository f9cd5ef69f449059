using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Has sessions of other nodes sought whose packets come here: the actors and threads that do it.</summary>
public sealed class Takeovers : IDisposable
{
    /// <summary>A claim waits for the directory a few times, and a node that dies leaves hundreds.</summary>
    private const int Seekers = 16;

    private readonly ThreadDispatcher _threads = new("takeover", Seekers);
    private readonly ActorRef<TakeoverActor.Message>[] _seekers;

    /// <param name="system">Where the actors live.</param>
    /// <param name="directory">The shared directory.</param>
    /// <param name="heraldPort">The port that heralds come to.</param>
    /// <param name="ingresses">Told of what was found.</param>
    /// <param name="silence">A dump that no node has heard of for so long is ended.</param>
    /// <param name="logger">Told of what cannot be taken over.</param>
    public Takeovers(ActorSystem system, DumpDirectory directory, ushort heraldPort, IngressGroup ingresses, TimeSpan silence, ILogger logger)
    {
        _seekers = [.. Enumerable.Range(0, Seekers).Select(i => system.Spawn<TakeoverActor.Message>($"takeover-{i}", _threads,
            () => new TakeoverActor(directory, heraldPort, ingresses, logger), new() { MailboxCapacity = 4096, Strategy = SupervisorStrategy.Resume }))];
        system.Spawn<LeftOversActor.Look>("left-overs", _threads, () => new LeftOversActor(directory, ingresses, silence, logger), new() { MailboxCapacity = 4, Strategy = SupervisorStrategy.Resume });
    }

    public ThreadDispatcher Threads => _threads;

    /// <returns>False when too many are being sought; the client's next packet asks again.</returns>
    internal bool Seek(FlowKey flow) => _seekers[(uint)flow.GetHashCode() % Seekers].Tell(new TakeoverActor.Seek(flow));

    public void Dispose() => _threads.Dispose();
}
