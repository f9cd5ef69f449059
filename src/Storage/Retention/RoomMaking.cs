using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>Deletes the oldest dumps where a new one needs their room. Not thread-safe.</summary>
/// <param name="read">Reads the dump directory.</param>
/// <param name="headroom">What must stay free.</param>
/// <param name="needs">As for <see cref="RetentionCandidate.Of"/>.</param>
/// <param name="time">The clock.</param>
/// <param name="onWait">Told, in words, when the room of a deleted dump does not come back.</param>
/// <remarks>
/// A deleted file keeps its room while a program has it open or a snapshot has it, and some file systems give it back late. Deleting on would then take dump after dump for nothing:
/// on that file system nothing more goes until the room is back, at most for <see cref="Patience"/>.
/// </remarks>
public sealed class RoomMaking(Func<DumpCatalog> read, Headroom headroom, DumpNeeds needs, TimeProvider time, Action<string> onWait)
{
    /// <summary>Longest wait for the room of a deleted dump.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Dictionary<ulong, Wait> _waits = [];

    private readonly record struct Wait(long FreeBytes, long StartedAt);

    /// <summary>Deletes the oldest dumps until the file system of <paramref name="directory"/> has the room that must be free, one at a time as the caller takes the results.</summary>
    /// <returns>What was deleted; nothing when all that may go would not be enough, or while deleted room is waited for.</returns>
    /// <exception cref="StorageException">The dump directory cannot be read.</exception>
    public IEnumerable<RemovalResult> MakeRoom(string directory)
    {
        long missing = headroom.MissingBytes(directory);
        if (missing == 0 || FileSystemSpace.DeviceOf(directory) is not ulong device || Waits(directory, device))
            return [];

        var now = time.GetUtcNow();
        var all = RetentionCandidate.Of(read(), now, needs);
        var there = all.GroupBy(candidate => Path.GetDirectoryName(candidate.Dump.ManifestPath)!)
            .Where(group => FileSystemSpace.DeviceOf(group.Key) == device).SelectMany(group => group).ToHashSet();
        return Carry(RetentionPlanner.PlanRoom(all, there.Contains, missing), directory, device, now);
    }

    private IEnumerable<RemovalResult> Carry(IReadOnlyList<Removal> removals, string directory, ulong device, DateTimeOffset now)
    {
        foreach (var removal in removals)
        {
            // Files may free more than their bytes; what is no longer needed is not deleted.
            if (headroom.MissingBytes(directory) == 0 || headroom.FreeBytes(directory) is not long freeBytes)
                yield break;

            var result = DumpRetention.Carry([removal], now, needs).Single();
            // Half of it, as running dumps may be taking room at the same time.
            bool isBack = !result.IsRemoved || IsFree(directory, freeBytes + removal.Candidate.Bytes / 2);
            if (!isBack)
            {
                _waits[device] = new(freeBytes + removal.Candidate.Bytes / 2, time.GetTimestamp());
                onWait(string.Create(CultureInfo.InvariantCulture,
                    $"the room of {removal.Candidate.Dump.VmcorePath} ({removal.Candidate.Bytes} bytes) did not become free when it was deleted: a program may have it open or a snapshot may have it; nothing more is deleted there until it is free, or for {Patience.TotalSeconds} s"));
            }

            yield return result;
            if (!isBack)
                yield break;
        }
    }

    private bool Waits(string directory, ulong device)
    {
        if (!_waits.TryGetValue(device, out var wait))
            return false;
        if (time.GetElapsedTime(wait.StartedAt) < Patience && !IsFree(directory, wait.FreeBytes))
            return true;
        _waits.Remove(device);
        return false;
    }

    private bool IsFree(string directory, long bytes) => headroom.FreeBytes(directory) is not long freeBytes || freeBytes >= bytes;
}
