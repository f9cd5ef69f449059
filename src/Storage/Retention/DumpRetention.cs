namespace NetdumpCollector.Storage;

/// <summary>What becomes of a dump that was to go.</summary>
/// <param name="Removal">The dump and why.</param>
/// <param name="IsRemoved">It is gone.</param>
/// <param name="Error">Why it could not be deleted; null when it was, or when it has been pinned or deleted meanwhile.</param>
public sealed record RemovalResult(Removal Removal, bool IsRemoved, string? Error);

/// <summary>Carries out what <see cref="RetentionPlanner"/> decides.</summary>
public static class DumpRetention
{
    /// <summary>Deletes what a policy does not keep, one dump at a time as the caller takes the results.</summary>
    /// <exception cref="StorageException">The dump directory cannot be read.</exception>
    public static IEnumerable<RemovalResult> Apply(string root, RetentionPolicy policy, DateTimeOffset now, TimeSpan scriptPatience) =>
        policy.IsOff ? [] : Carry(RetentionPlanner.Plan(RetentionCandidate.Of(DumpCatalog.Read(root), now, scriptPatience), policy, now));

    /// <summary>Deletes the oldest dumps until the file system of <paramref name="directory"/> has the room that <paramref name="headroom"/> asks for.</summary>
    /// <returns>What was deleted; nothing when all that may go would not be enough.</returns>
    /// <exception cref="StorageException">The dump directory cannot be read.</exception>
    public static IEnumerable<RemovalResult> MakeRoom(string root, string directory, Headroom headroom, DateTimeOffset now, TimeSpan scriptPatience)
    {
        long missing = headroom.MissingBytes(directory);
        if (missing == 0 || FileSystemSpace.DeviceOf(directory) is not ulong device)
            return [];

        var all = RetentionCandidate.Of(DumpCatalog.Read(root), now, scriptPatience);
        var there = RetentionCandidate.ByDevice(all)[device].ToHashSet();
        // Files may free more than their bytes; what is no longer needed is not deleted.
        return Carry(RetentionPlanner.PlanRoom(all, there.Contains, missing).TakeWhile(_ => headroom.MissingBytes(directory) > 0));
    }

    private static IEnumerable<RemovalResult> Carry(IEnumerable<Removal> removals)
    {
        foreach (var removal in removals)
        {
            RemovalResult result;
            try
            {
                result = new(removal, DumpRemoval.Remove(removal.Candidate.Dump, evenPinned: false), null);
            }
            catch (StorageException e)
            {
                result = new(removal, false, e.Message);
            }

            yield return result;
        }
    }
}
