using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Actors.Fleet;

/// <summary>What is known of the catalogue and, from it, of the fleet. Written by <see cref="FleetLink"/>; anybody reads it without waiting.</summary>
public sealed class FleetState
{
    private Reachability _reach = new(false, null, "not connected yet");
    private FleetSnapshot _snapshot = FleetSnapshot.Empty;
    private long _answeredAt;

    /// <summary>Whether the catalogue answers and has this node.</summary>
    /// <param name="IsUp">It does.</param>
    /// <param name="Since">Since when that is so; null before the first connection.</param>
    /// <param name="Problem">Why it does not, or null.</param>
    public sealed record Reachability(bool IsUp, DateTimeOffset? Since, string? Problem);

    /// <summary>Number of the dump directory; null before it is known.</summary>
    public Guid? Directory { get; internal set; }

    public Reachability Reach
    {
        get => Volatile.Read(ref _reach);
        internal set => Volatile.Write(ref _reach, value);
    }

    /// <summary>The fleet as it was at the last exchange; it stays while the catalogue is down.</summary>
    public FleetSnapshot Snapshot
    {
        get => Volatile.Read(ref _snapshot);
        internal set => Volatile.Write(ref _snapshot, value);
    }

    /// <summary>Another live node has this node's name: nothing of this one is in the catalogue.</summary>
    public bool IsNameTaken { get; internal set; }

    /// <summary>When the catalogue last answered, by the clock of <see cref="TimeProvider.GetTimestamp"/>; 0 before it ever did.</summary>
    public long AnsweredAt
    {
        get => Volatile.Read(ref _answeredAt);
        internal set => Volatile.Write(ref _answeredAt, value);
    }

    /// <summary>The dump that nobody receives now whose packets these are, and how long its kernel has been silent by now; null where there is none, or its kernel can be there no more.</summary>
    /// <param name="client">The client.</param>
    /// <param name="clientPort">UDP port that its packets come from.</param>
    /// <param name="time">The clock: what was learned is as old as the catalogue's last answer.</param>
    public (FleetSession Session, TimeSpan Silence)? FindOrphan(Ipv4 client, ushort clientPort, TimeProvider time) =>
        Snapshot.FindOrphan(client, clientPort) is { } orphan && TimeSpan.FromSeconds(orphan.SilentSeconds) + time.GetElapsedTime(AnsweredAt) is var silence && orphan.IsAliveAfter(silence) ? (orphan, silence) : null;

    /// <summary>Changes that wait to be told, and those that found no room.</summary>
    public int OutboxLength { get; internal set; }
    public long OutboxRefused { get; internal set; }

    /// <summary>Statements sent, and exchanges that failed.</summary>
    public long Statements { get; internal set; }
    public long Failures { get; internal set; }
}
