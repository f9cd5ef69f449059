using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Collector.Http;

/// <summary>One session; its JSON is a published format.</summary>
/// <param name="Client">The client's address.</param>
/// <param name="Host">Its name, null while it is not known.</param>
/// <param name="Phase">As in the metric <c>netdump_sessions</c>; orphaned where the node that received it is dead or has left.</param>
/// <param name="StartedAt">When its herald came, UTC.</param>
/// <param name="SilentSeconds">How long ago its last packet came.</param>
/// <param name="Bytes">Distinct bytes stored.</param>
/// <param name="TotalBytes">Bytes of the whole dump, null before its header has come.</param>
/// <param name="ExpectedBytes">Bytes that the whole dump will have: <paramref name="TotalBytes"/>, or what the start of an uncompressed, unencrypted minidump says; null where it says nothing.</param>
/// <param name="Packets">Messages that were used.</param>
/// <param name="Repeated">Packets that repeated an earlier one.</param>
/// <param name="Port">UDP port that it sends to.</param>
/// <param name="DumpId">Its dump, null where that has no files.</param>
/// <param name="File">Path of its data, likewise.</param>
/// <param name="Error">Why it cannot be stored now, or null.</param>
/// <param name="Node">The node that receives it, null without a fleet.</param>
internal sealed record SessionRow(string Client, string? Host, string Phase, DateTime StartedAt, double SilentSeconds, ulong Bytes, ulong? TotalBytes, ulong? ExpectedBytes,
    long Packets, long Repeated, int Port, string? DumpId, string? File, string? Error, string? Node = null)
{
    public static SessionRow Of(SessionStatus session) => new(session.Client.ToString(), session.Host, SessionPhases.NameOf(session.Phase), session.StartedAt.UtcDateTime,
        Math.Round(session.Silence.TotalSeconds, 3), session.CoveredBytes, session.DumpBytes, session.ExpectedBytes, session.Packets, session.Repeated, session.Port, session.DumpId, session.File, session.WriteError);
}
