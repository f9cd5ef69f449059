using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Actors.Fleet;

/// <summary>What a node tells the fleet of, and what it does with what it hears.</summary>
public sealed class FleetSource
{
    /// <summary>The node, but for what its dump directory says.</summary>
    public required NodeIdentity Node { get; init; }

    /// <summary>Dumps that arrive here, and those of them that have files.</summary>
    public required Func<Task<(int Dumps, IReadOnlyList<FleetSession> Sessions)>> Sessions { get; init; }

    /// <summary>What happens here.</summary>
    public required EventSubscription Events { get; init; }

    /// <summary>What happens here, as others are told of it.</summary>
    public required Func<CollectorEvent, FleetEvent> Tell { get; init; }

    /// <summary>Told what happens elsewhere.</summary>
    public required Action<FleetEvent> Hear { get; init; }

    public required StormPolicy Storm { get; init; }

    public required FleetLimits Limits { get; init; }

    /// <summary>The dump directory is meant to be that of all nodes that answer the same address.</summary>
    public bool SharesDirectory { get; init; }
}
