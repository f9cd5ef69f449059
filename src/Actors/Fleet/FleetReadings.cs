using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Fleet;

/// <summary>The fleet's state for metrics.</summary>
public sealed class FleetReadings(FleetState state, TimeProvider time) : ICatalogueReadings
{
    public bool IsUp => state.Reach.IsUp;

    public TimeSpan? Lag => state.AnsweredAt is > 0 and var answered ? time.GetElapsedTime(answered) : null;

    public long OutboxLength => state.OutboxLength;

    public long OutboxRefused => state.OutboxRefused;

    public long Statements => state.Statements;

    public long Failures => state.Failures;

    public bool IsNameTaken => state.IsNameTaken;

    public IEnumerable<(string State, long Count)> Nodes
    {
        get
        {
            var counts = state.Snapshot.Nodes.CountBy(node => node.State).ToDictionary();
            return Enum.GetValues<FleetNodeState>().Select(one => (one.ToString().ToLowerInvariant(), (long)counts.GetValueOrDefault(one)));
        }
    }
}
