using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Pages;

/// <summary>The dump directory as it was last read.</summary>
/// <param name="Dumps">The newest first; what has no time comes last.</param>
/// <param name="Panics">The same panics, the most frequent first.</param>
/// <param name="Catalog">What was read, null where that never succeeded.</param>
/// <param name="ReadAt">When that was.</param>
/// <param name="Problem">Why it is not what is there now, or null.</param>
public sealed record DumpsView(IReadOnlyList<DumpView> Dumps, IReadOnlyList<PanicGroup> Panics, DumpCatalog? Catalog, DateTimeOffset ReadAt, string? Problem)
{
    /// <summary>Before anything was read.</summary>
    internal static DumpsView Nothing { get; } = new([], [], null, default, null);

    internal static DumpsView Of(DumpCatalog catalog, IEnumerable<DumpView> dumps, DateTimeOffset readAt)
    {
        DumpView[] newestFirst = [.. dumps.OrderByDescending(dump => dump.StartedAt ?? DateTimeOffset.MinValue).ThenBy(dump => dump.Id, StringComparer.Ordinal)];
        return new(newestFirst, PanicGroup.Of(newestFirst), catalog, readAt, null);
    }
}
