using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Collector.Http;

/// <summary>What phases are called in metrics and in the API.</summary>
internal static class SessionPhases
{
    public const string HalfOpen = "half_open";
    public const string Receiving = "receiving";
    public const string Ending = "ending";
    public const string Lingering = "lingering";

    /// <summary>Of no session here: its node is dead or has left, and nobody has taken the dump over yet.</summary>
    public const string Orphaned = "orphaned";

    private static readonly Dictionary<SessionPhase, string> s_names = new()
    {
        [SessionPhase.HalfOpen] = HalfOpen,
        [SessionPhase.Receiving] = Receiving,
        [SessionPhase.Ending] = Ending,
        [SessionPhase.Lingering] = Lingering,
        [SessionPhase.Closed] = "closed",
    };

    public static string NameOf(SessionPhase phase) => s_names[phase];
}
