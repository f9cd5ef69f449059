using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Collector.Http;

/// <summary>What phases are called in metrics and in the API.</summary>
internal static class SessionPhases
{
    public const string Receiving = "receiving";

    private static readonly Dictionary<SessionPhase, string> s_names = new()
    {
        [SessionPhase.HalfOpen] = "half_open",
        [SessionPhase.Receiving] = Receiving,
        [SessionPhase.Ending] = "ending",
        [SessionPhase.Lingering] = "lingering",
        [SessionPhase.Closed] = "closed",
    };

    public static string NameOf(SessionPhase phase) => s_names[phase];
}
