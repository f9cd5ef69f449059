using NetdumpCollector.Collector.Fleet;

namespace NetdumpCollector.Collector.Http;

/// <summary>All sessions, also those of other nodes of the fleet.</summary>
internal sealed class SessionRows(LiveState live, FleetView? fleet)
{
    /// <summary>The longest running first.</summary>
    public async Task<IReadOnlyList<SessionRow>> ReadAsync()
    {
        var own = (await live.SessionsAsync().ConfigureAwait(false)).Select(session => SessionRow.Of(session) with { Node = fleet?.Node }).ToList();
        if (fleet is not null)
        {
            var here = own.Where(session => session.DumpId is not null).Select(session => session.DumpId).ToHashSet();
            own.AddRange(fleet.Sessions.Where(session => !here.Contains(session.DumpId)));
        }

        return [.. own.OrderBy(session => session.StartedAt)];
    }
}
