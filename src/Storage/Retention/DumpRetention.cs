using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Storage;

/// <summary>What becomes of a dump that was to go.</summary>
/// <param name="Removal">The dump and why.</param>
/// <param name="IsRemoved">It is gone.</param>
/// <param name="Error">Why it could not be deleted; null when it was, or when something keeps it by now or it was deleted meanwhile.</param>
public sealed record RemovalResult(Removal Removal, bool IsRemoved, string? Error);

/// <summary>Carries out what <see cref="RetentionPlanner"/> decides.</summary>
public static class DumpRetention
{
    /// <summary>Deletes what is planned, one dump at a time as the caller takes the results.</summary>
    /// <param name="removals">The plan; what it rests on is looked at again for each dump.</param>
    /// <param name="now">The time.</param>
    /// <param name="needs">As for <see cref="RetentionCandidate.Of"/>.</param>
    public static IEnumerable<RemovalResult> Carry(IEnumerable<Removal> removals, DateTimeOffset now, DumpNeeds needs)
    {
        foreach (var removal in removals)
        {
            RemovalResult result;
            try
            {
                result = new(removal, Remove(removal.Candidate, removal.NewestComplete, now, needs), null);
            }
            catch (StorageException e)
            {
                result = new(removal, false, e.Message);
            }

            yield return result;
        }
    }

    /// <summary>Deletes a dump unless something keeps it that came up after it was looked at.</summary>
    /// <param name="candidate">The dump.</param>
    /// <param name="newestComplete">The newest complete dump of its host, because of which a complete one may go.</param>
    /// <param name="now">The time.</param>
    /// <param name="needs">As for <see cref="RetentionCandidate.Of"/>.</param>
    /// <returns>False when it stays, or is gone already.</returns>
    /// <exception cref="StorageException">As for <see cref="DumpRemoval.Remove(CatalogedDump, Func{Manifest, bool})"/>.</exception>
    public static bool Remove(RetentionCandidate candidate, RetentionCandidate? newestComplete, DateTimeOffset now, DumpNeeds needs) =>
        DumpRemoval.Remove(candidate.Dump, manifest => !manifest.Pinned
            && !RetentionCandidate.AwaitsItsStore(manifest, needs)
            && !DumpStitching.IsNeeded(manifest, needs.Parts, now)
            && !RetentionCandidate.IsUsed(candidate.Dump.ManifestPath, manifest, now, needs)
            && (!candidate.HasCore || manifest.Status != DumpStatus.Complete || IsThere(newestComplete)));

    private static bool IsThere(RetentionCandidate? newestComplete) =>
        newestComplete is { Dump: var dump } && File.Exists(dump.ManifestPath) && File.Exists(dump.VmcorePath);
}
