namespace NetdumpCollector.Collector.Pages;

/// <summary>Dumps of what is probably the same bug.</summary>
/// <param name="Signature">What their messages have in common (<see cref="Protocol.Storm.PanicSignature"/>).</param>
/// <param name="Message">The latest one's message.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Hosts">Whose they are, each host once, the latest first.</param>
/// <param name="FirstAt">When the first of them began.</param>
/// <param name="LastAt">When the last of them began.</param>
public sealed record PanicGroup(string Signature, string Message, int Count, IReadOnlyList<string> Hosts, DateTimeOffset FirstAt, DateTimeOffset LastAt)
{
    /// <summary>The groups of all dumps whose message and time are known, the largest first.</summary>
    internal static IReadOnlyList<PanicGroup> Of(IEnumerable<DumpView> dumps) =>
        [.. dumps.Where(dump => dump.Signature is not null && dump.StartedAt is not null).GroupBy(dump => dump.Signature!, StringComparer.Ordinal)
            .Select(group => Of(group.Key, [.. group.OrderByDescending(dump => dump.StartedAt)]))
            .OrderByDescending(group => group.Count).ThenByDescending(group => group.LastAt).ThenBy(group => group.Signature, StringComparer.Ordinal)];

    private static PanicGroup Of(string signature, DumpView[] newestFirst) => new(signature, newestFirst[0].Panic!, newestFirst.Length,
        [.. newestFirst.Select(dump => dump.Name).Distinct(StringComparer.Ordinal)], newestFirst[^1].StartedAt!.Value, newestFirst[0].StartedAt!.Value);
}
