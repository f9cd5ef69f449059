using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>Sessions on their way to the catalogue and from there.</summary>
internal static class FleetSessions
{
    /// <summary>A session of this node, which has files.</summary>
    public static FleetSession Of(SessionStatus session, string node, string root) => new()
    {
        DumpId = session.DumpId!,
        Node = node,
        Client = session.Client,
        ClientPort = session.ClientPort,
        Host = session.Host,
        Endpoint = session.Endpoint,
        EndpointAddress = session.Local,
        EndpointPort = session.Port,
        Path = Path.GetRelativePath(root, session.File!),
        Phase = SessionPhases.NameOf(session.Phase),
        Epoch = session.Epoch,
        Bytes = Signed(session.CoveredBytes),
        TotalBytes = session.DumpBytes is ulong total ? Signed(total) : null,
        ExpectedBytes = session.ExpectedBytes is ulong expected ? Signed(expected) : null,
        Packets = session.Packets,
        Repeated = session.Repeated,
        SilentSeconds = session.Silence.TotalSeconds,
        Error = session.WriteError,
        StartedAt = session.StartedAt,
        Continues = session.Continues,
    };

    /// <summary>A session of another node.</summary>
    public static SessionRow RowOf(FleetSession session, bool isOrphaned) => new(
        session.Client.ToString(), session.Host, isOrphaned ? SessionPhases.Orphaned : session.Phase, session.StartedAt.UtcDateTime, Math.Round(session.SilentSeconds, 3), (ulong)session.Bytes,
        (ulong?)session.TotalBytes, (ulong?)session.ExpectedBytes, session.Packets, session.Repeated, session.EndpointPort, session.DumpId, session.Path, session.Error, session.Node);

    /// <summary>A header may claim any length; the database's numbers end earlier.</summary>
    private static long Signed(ulong bytes) => (long)Math.Min(bytes, long.MaxValue);
}
