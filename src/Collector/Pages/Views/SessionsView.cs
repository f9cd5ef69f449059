using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>All sessions at one moment, those first that need a look, then those that arrive.</summary>
public sealed record SessionsView(IReadOnlyList<SessionView> Sessions)
{
    private static readonly string[] s_phases = [SessionPhases.Orphaned, SessionPhases.Receiving, SessionPhases.Ending, SessionPhases.HalfOpen, SessionPhases.Lingering];

    public int Receiving => Sessions.Count(session => session.IsReceiving);

    public int Troubled => Sessions.Count(session => session.IsTroubled);

    public double BytesPerSecond => Sessions.Sum(session => session.IsReceiving ? session.BytesPerSecond : 0);

    /// <summary>How many there are of each phase that has some, in words.</summary>
    public string PhaseCounts => string.Join(", ", Sessions.CountBy(session => session.Phase).OrderBy(phase => RankOf(phase.Key)).Select(phase => $"{phase.Value} {PhaseWords(phase.Key)}"));

    internal static SessionsView Of(IEnumerable<SessionView> sessions) => new(
        [.. sessions.OrderBy(session => !session.IsTroubled).ThenBy(session => RankOf(session.Phase)).ThenBy(session => session.StartedAt).ThenBy(session => session.Key, StringComparer.Ordinal)]);

    /// <summary>What the phases of <see cref="SessionPhases"/> mean to people.</summary>
    internal static string PhaseWords(string phase) => phase switch
    {
        SessionPhases.HalfOpen => "announced, no data yet",
        SessionPhases.Receiving => "receiving",
        SessionPhases.Ending => "being made durable",
        SessionPhases.Lingering => "ended",
        SessionPhases.Orphaned => "its node is gone",
        _ => phase,
    };

    private static int RankOf(string phase) => Array.IndexOf(s_phases, phase) is var rank and >= 0 ? rank : s_phases.Length;
}
