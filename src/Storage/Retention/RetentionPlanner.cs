using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>What makes a dump go.</summary>
public enum RemovalCause
{
    /// <summary>It is older than <see cref="RetentionPolicy.MaxAge"/>.</summary>
    Age,

    /// <summary>Its host has <see cref="RetentionPolicy.MaxPerHost"/> newer ones.</summary>
    Count,

    /// <summary>All dumps together take more than <see cref="RetentionPolicy.MaxTotalBytes"/>.</summary>
    TotalSize,

    /// <summary>A new dump needs the room.</summary>
    Room,
}

/// <summary>A dump that is to go.</summary>
/// <param name="Candidate">The dump.</param>
/// <param name="Cause">Which rule.</param>
/// <param name="Reason">The same in words that follow "because".</param>
/// <param name="NewestComplete">The newest complete dump of its host, null when there is none.</param>
public sealed record Removal(RetentionCandidate Candidate, RemovalCause Cause, string Reason, RetentionCandidate? NewestComplete);

/// <summary>Decides which dumps go. Sans-I/O.</summary>
/// <remarks>
/// Never goes: the newest complete dump of a host, one that is pinned, one that is in use, one that is to be in the object store and is not, one that a whole dump may still be made of; a running one is no candidate. Dumps are old or new by when they started. Hosts are told apart by the name in their
/// files, in all directories together. What is kept regardless counts like any other, so a limit may stay exceeded.
/// </remarks>
public static class RetentionPlanner
{
    /// <summary>Why <paramref name="candidate"/> is kept whatever the policy, in words that follow "it"; null when it may go.</summary>
    public static string? ProtectionOf(RetentionCandidate candidate, IReadOnlyList<RetentionCandidate> all) =>
        ProtectionOf(candidate, NewestComplete(all));

    /// <summary>The newest complete dump of <paramref name="host"/>, null when there is none.</summary>
    public static RetentionCandidate? NewestCompleteOf(string host, IReadOnlyList<RetentionCandidate> all) => NewestComplete(all).GetValueOrDefault(host);

    /// <summary>What <paramref name="policy"/> makes go, the oldest first.</summary>
    public static IReadOnlyList<Removal> Plan(IReadOnlyList<RetentionCandidate> all, RetentionPolicy policy, DateTimeOffset now)
    {
        var newestComplete = NewestComplete(all);
        RetentionCandidate[] newestFirst = [.. OldestFirst(all).Reverse()];
        var followers = new Dictionary<string, int>();
        var removals = new List<Removal>();
        Int128 keptBytes = 0;
        foreach (var candidate in newestFirst)
        {
            var manifest = candidate.Dump.Manifest;
            int newer = followers.GetValueOrDefault(manifest.Host);
            followers[manifest.Host] = newer + 1;
            bool mayGo = ProtectionOf(candidate, newestComplete) is null;
            if (mayGo && policy.MaxAge is TimeSpan age && now - manifest.StartedAt > age)
                removals.Add(RemovalOf(candidate, RemovalCause.Age, Text($"it started {Age(now - manifest.StartedAt)} ago and dumps are kept for {Age(age)}"), newestComplete));
            else if (mayGo && newer >= policy.MaxPerHost)
                removals.Add(RemovalOf(candidate, RemovalCause.Count, Text($"{manifest.Host} has {newer} newer ones and {policy.MaxPerHost} are kept"), newestComplete));
            else
                keptBytes += candidate.Bytes;
        }

        if (policy.MaxTotalBytes is long limit && keptBytes > limit)
        {
            var going = removals.Select(removal => removal.Candidate).ToHashSet();
            foreach (var candidate in newestFirst.Reverse())
            {
                if (keptBytes <= limit)
                    break;
                if (going.Contains(candidate) || ProtectionOf(candidate, newestComplete) is not null)
                    continue;
                removals.Add(RemovalOf(candidate, RemovalCause.TotalSize, Text($"all dumps take {keptBytes} bytes and {limit} are kept"), newestComplete));
                keptBytes -= candidate.Bytes;
            }
        }

        return [.. removals.OrderBy(removal => removal.Candidate.Dump.Manifest.StartedAt).ThenBy(removal => removal.Candidate.Dump.Manifest.Id, StringComparer.Ordinal)];
    }

    /// <summary>The oldest dumps that may go and together free <paramref name="bytes"/>; none when all of them would not be enough, as a new dump that must be refused anyhow is not worth old ones.</summary>
    /// <param name="all">Every dump: those on another file system tell which is a host's newest.</param>
    /// <param name="isThere">Whether the dump's room is of use.</param>
    /// <param name="bytes">What is to be freed.</param>
    public static IReadOnlyList<Removal> PlanRoom(IReadOnlyList<RetentionCandidate> all, Func<RetentionCandidate, bool> isThere, long bytes)
    {
        var newestComplete = NewestComplete(all);
        var removals = new List<Removal>();
        Int128 missing = bytes;
        foreach (var candidate in OldestFirst(all).Where(isThere))
        {
            if (missing <= 0)
                break;
            if (candidate.Bytes == 0 || ProtectionOf(candidate, newestComplete) is not null)
                continue;
            removals.Add(RemovalOf(candidate, RemovalCause.Room, Text($"a new dump needs room and {bytes} bytes more must be free"), newestComplete));
            missing -= candidate.Bytes;
        }

        return missing > 0 ? [] : removals;
    }

    private static Removal RemovalOf(RetentionCandidate candidate, RemovalCause cause, string reason, Dictionary<string, RetentionCandidate> newestComplete) =>
        new(candidate, cause, reason, newestComplete.GetValueOrDefault(candidate.Dump.Manifest.Host));

    private static string? ProtectionOf(RetentionCandidate candidate, Dictionary<string, RetentionCandidate> newestComplete) =>
        candidate.Dump.Manifest.Pinned ? "is pinned"
        : candidate.AwaitsStore ? "is not in the object store yet"
        : candidate.AwaitsParts ? "is, or may be, a part of a dump that other nodes have parts of, and none is whole yet: it is kept until one is, or for 24 hours after its end"
        : candidate.IsInUse ? "is in use: its client may still have to be answered, or its script has not ended"
        : newestComplete.GetValueOrDefault(candidate.Dump.Manifest.Host) == candidate ? $"is the newest complete dump of {candidate.Dump.Manifest.Host}"
        : null;

    private static Dictionary<string, RetentionCandidate> NewestComplete(IReadOnlyList<RetentionCandidate> all)
    {
        var newest = new Dictionary<string, RetentionCandidate>();
        foreach (var candidate in OldestFirst(all).Where(candidate => candidate.IsComplete))
            newest[candidate.Dump.Manifest.Host] = candidate;
        return newest;
    }

    private static IEnumerable<RetentionCandidate> OldestFirst(IEnumerable<RetentionCandidate> all) =>
        all.OrderBy(candidate => candidate.Dump.Manifest.StartedAt).ThenBy(candidate => candidate.Dump.Manifest.Id, StringComparer.Ordinal);

    /// <summary>In the largest unit of which it has one at least.</summary>
    private static string Age(TimeSpan time)
    {
        var (count, unit) = time switch
        {
            { TotalDays: >= 1 } => (time.TotalDays, "day"),
            { TotalHours: >= 1 } => (time.TotalHours, "hour"),
            { TotalMinutes: >= 1 } => (time.TotalMinutes, "minute"),
            _ => (time.TotalSeconds, "second"),
        };
        string number = count.ToString("0.##", CultureInfo.InvariantCulture);
        return $"{number} {unit}{(number == "1" ? "" : "s")}";
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
