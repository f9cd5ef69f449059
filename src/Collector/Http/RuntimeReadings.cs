using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Http;

/// <summary>What metrics are made of that is not counted but looked up.</summary>
internal sealed class RuntimeReadings(LiveState live, IReadOnlyList<IEventLoop> loops, ActorSystem system, FileSystems fileSystems, IReadOnlyList<ThreadDispatcher> threads, string directory, TimeProvider time)
    : IRuntimeReadings
{
    /// <summary>A closed session is gone in the same moment.</summary>
    private static readonly SessionPhase[] s_phases = [SessionPhase.HalfOpen, SessionPhase.Receiving, SessionPhase.Ending, SessionPhase.Lingering];

    /// <summary>So long one walk through all actors, of which a thousand sessions have several thousand, counts for all the metrics that are made of it.</summary>
    private static readonly TimeSpan s_walkFreshness = TimeSpan.FromMilliseconds(100);

    private readonly PatientLook<FileSystemSpace?> _space = new(() => FileSystemSpace.Of(directory), time);
    private readonly Lock _gate = new();
    private IReadOnlyList<MailboxReading>? _mailboxes;
    private long _walkedAt;

    public IEnumerable<(string Phase, long Count)> Sessions
    {
        get
        {
            var counts = live.Sessions.CountBy(session => session.Phase).ToDictionary();
            return s_phases.Select(phase => (SessionPhases.NameOf(phase), (long)counts.GetValueOrDefault(phase)));
        }
    }

    public long HeraldDrops => live.Look().Sum(ingress => ingress.HeraldDrops);

    public IEnumerable<(string Loop, TimeSpan Busy)> Loops => loops.Select((loop, number) => ($"{number}", loop.BusyTime));

    public IEnumerable<(string Queue, long Length)> Queues => threads.Concat(fileSystems.Threads).GroupBy(thread => thread.Name)
        .Select(kind => (kind.Key, kind.Sum(thread => (long)thread.QueueLength))).Append(("ingress", live.Look().Sum(ingress => (long)ingress.Waiting)));

    public IEnumerable<(string Actor, long Actors, long Waiting, long Peak, long Refused)> Mailboxes
    {
        get
        {
            lock (_gate)
            {
                if (_mailboxes is null || time.GetElapsedTime(_walkedAt) >= s_walkFreshness)
                {
                    _mailboxes = system.Mailboxes();
                    _walkedAt = time.GetTimestamp();
                }

                return _mailboxes.Select(kind => (kind.Actor, kind.Actors, kind.Waiting, kind.Peak, kind.Refused));
            }
        }
    }

    public long ActorRestarts => system.Restarts;

    public long ActorFailures => system.Failures;

    public long DeadLetters => system.DeadLetters.Count;

    public (long FreeBytes, long TotalBytes)? Storage => _space.Value is { } space ? (space.FreeBytes, space.TotalBytes) : null;
}
