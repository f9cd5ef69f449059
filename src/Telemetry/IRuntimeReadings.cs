namespace NetdumpCollector.Telemetry;

/// <summary>What the running collector is looked at for when metrics are read.</summary>
public interface IRuntimeReadings
{
    /// <summary>Sessions by phase; every phase is named.</summary>
    IEnumerable<(string Phase, long Count)> Sessions { get; }

    /// <summary>Datagrams that the kernel dropped at the herald sockets.</summary>
    long HeraldDrops { get; }

    /// <summary>How long each event loop was not waiting.</summary>
    IEnumerable<(string Loop, TimeSpan Busy)> Loops { get; }

    /// <summary>Work that waits for threads or actors.</summary>
    IEnumerable<(string Queue, long Length)> Queues { get; }

    /// <summary>Actors and their mailboxes, by kind.</summary>
    IEnumerable<(string Actor, long Actors, long Waiting, long Peak, long Refused)> Mailboxes { get; }

    long ActorRestarts { get; }

    long ActorFailures { get; }

    long DeadLetters { get; }

    /// <summary>The dump directory's file system; null where it does not say.</summary>
    (long FreeBytes, long TotalBytes)? Storage { get; }
}
