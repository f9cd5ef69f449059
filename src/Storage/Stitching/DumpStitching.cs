using System.Buffers;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>How an attempt ended to make a dump whole of its parts.</summary>
public enum StitchOutcome
{
    /// <summary>Nothing is missing any more.</summary>
    Whole,

    /// <summary>Bytes or the key are missing that no part has which has ended.</summary>
    Lacking,

    /// <summary>The dump is not one that parts are fetched for; any more.</summary>
    NotWanted,

    /// <summary>Another process has it, or it is being uploaded.</summary>
    Busy,
}

/// <summary>Makes an incomplete dump whole by what other nodes have received of it, in its own file.</summary>
/// <remarks>
/// At any point of it another process can go on: a manifest says that a byte is there only once it is on the device, and from the first write on that nobody knows the file's hash. So a crash costs at most
/// what was fetched since the last note. Source: design.md, rule 3.
/// </remarks>
/// <param name="root">The dump directory.</param>
/// <param name="node">This node's name.</param>
/// <param name="onFetched">Told of bytes of other parts that were written.</param>
public sealed class DumpStitching(string root, string node, Action<long>? onFetched = null)
{
    /// <summary>So long after its end a part is waited for, and kept for the node that makes the dump whole.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromDays(1);

    /// <summary>Bytes that are asked for and held in memory at one time.</summary>
    public const int PieceBytes = 4 << 20;

    /// <summary>Bytes that may have to be fetched again after a crash.</summary>
    internal ulong NoteEveryBytes { get; init; } = 256 << 20;

    /// <summary>Whether there is room for what is fetched.</summary>
    public Headroom Headroom { get; init; } = Headroom.Unlimited;

    /// <summary>Parts are fetched for it: it has its end, which says how long it is, and lacks something that other nodes may have.</summary>
    /// <remarks>
    /// Not where policy let bytes go, nor where nobody knows all holes, nor where the object store has it as it is, nor where it is inside a whole one: that one stays what it says. Nor where its first burst was moved: nobody
    /// knows any more where its stale copy lies.
    /// </remarks>
    public static bool IsWanted(Manifest manifest) =>
        manifest is { Status: DumpStatus.Incomplete, Kdh.Valid: true, TruncatedBy: null, Stored: null, Within: null, Relocated: false, Reason: not EndReason.WriteError }
        && (manifest.Stitching || manifest.MissingRanges <= manifest.Missing.Count);

    /// <summary>It may become more than it is: whoever brings dumps elsewhere waits.</summary>
    /// <param name="manifest">The dump.</param>
    /// <param name="now">The time.</param>
    public static bool IsAwaited(Manifest manifest, DateTimeOffset now) =>
        manifest is { Stitching: true } or { Status: DumpStatus.Incomplete, Continues: not null, Within: null } && now - manifest.EndedAt < Patience;

    /// <summary>It may be, or become, what another part lacks, or be made whole itself: it is not deleted.</summary>
    /// <param name="manifest">The dump.</param>
    /// <param name="hasParts">Nodes go on with each other's dumps, so that any one may have another part: whoever began it is not told of that.</param>
    /// <param name="now">The time.</param>
    public static bool IsNeeded(Manifest manifest, bool hasParts, DateTimeOffset now) =>
        IsAwaited(manifest, now) || (hasParts && manifest is { Status: DumpStatus.Incomplete, Within: null } && now - manifest.EndedAt < Patience);

    /// <summary>Fetches what the dump lacks and the parts have. Blocks for as long as that takes.</summary>
    /// <param name="manifestPath">The dump's manifest.</param>
    /// <param name="parts">Other parts of the same dump that have ended, in any order.</param>
    /// <param name="cancellation">Ends it; the next attempt goes on.</param>
    /// <param name="manifest">What the dump's manifest says afterwards.</param>
    /// <exception cref="ForeignPartException">What is said to be a part is of another dump.</exception>
    /// <exception cref="StorageException">A part cannot be read now, or the dump's own files cannot be written; the next attempt goes on.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was requested.</exception>
    public StitchOutcome Run(string manifestPath, IReadOnlyList<IDumpPart> parts, CancellationToken cancellation, out Manifest manifest)
    {
        manifest = ManifestFile.Read(manifestPath);
        if (!IsWanted(manifest))
            return StitchOutcome.NotWanted;
        var dump = new CatalogedDump(manifestPath, manifest);
        using var claim = UploadState.Take(dump);
        if (claim is null)
            return StitchOutcome.Busy;

        // Of bytes that several parts have, those of the one that was at it last are the client's last. Nodes have each a clock of their own, so their times say that only where nothing else does.
        List<IDumpPart> newestFirst = [.. parts.Where(part => part.Manifest.Id != dump.Manifest.Id && part.Manifest.Client == dump.Manifest.Client)
            .OrderByDescending(part => DumpContinuation.EpochOf(part.Manifest.Continues)).ThenByDescending(part => part.Manifest.StartedAt)];
        using var filling = new DumpFilling(root, node, dump, claim.Clear);
        StorageException? problem = null;
        byte[]? key = null;
        bool isWanted;
        try
        {
            isWanted = TryFill(filling, newestFirst, ref problem, cancellation);
            key = isWanted ? PartKeys.TryJoin(root, dump, newestFirst, filling.Compare, ref problem) : null;
            if (key is not null && !filling.Manifest.Stitching)
                isWanted = filling.TryBegin();
        }
        catch
        {
            EndInTrouble(filling);
            throw;
        }
        finally
        {
            manifest = filling.Manifest;
        }

        if (filling.Manifest.Stitching)
            filling.End(key);
        manifest = filling.Manifest;
        return !isWanted ? StitchOutcome.NotWanted : manifest.Status != DumpStatus.Incomplete ? StitchOutcome.Whole : problem is null ? StitchOutcome.Lacking : throw problem;
    }

    /// <summary>Writes what the parts have; a part that cannot be read is left out, for this time.</summary>
    /// <returns>False where the dump is not one any more that parts are fetched for.</returns>
    private bool TryFill(DumpFilling filling, List<IDumpPart> newestFirst, ref StorageException? problem, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            ulong length = filling.Manifest.Kdh!.DumpLength;
            while (PartRanges.Plan([.. filling.Held.Missing(length)], [.. newestFirst.Select(part => part.Manifest)]) is { Count: > 0 } plan)
            {
                IDumpPart? unreadable = null;
                if (plan.Select(next => next.Part).Distinct().Select(index => newestFirst[index]).FirstOrDefault(part => !filling.HasCompared(part)) is { } uncompared)
                {
                    if (!TryCompare(filling, uncompared, ref problem))
                        _ = newestFirst.Remove(uncompared);
                    continue;
                }

                ulong left = RangeList.BytesOf(plan.Select(next => next.Range));
                foreach (var (range, index) in plan)
                {
                    unreadable = TryCopy(filling, newestFirst[index], range, buffer, ref left, ref problem, cancellation);
                    if (!DumpStitching.IsWanted(filling.Manifest))
                        return false;
                    if (unreadable is not null)
                        break;
                }

                if (unreadable is null)
                    break;
                _ = newestFirst.Remove(unreadable);
            }

            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <returns>False where it cannot be read.</returns>
    /// <exception cref="ForeignPartException">It is of another dump.</exception>
    private static bool TryCompare(DumpFilling filling, IDumpPart part, ref StorageException? problem)
    {
        try
        {
            filling.Compare(part);
            return true;
        }
        catch (StorageException e) when (e is not ForeignPartException)
        {
            problem ??= e;
            return false;
        }
    }

    /// <returns>The part where it cannot be read, else null.</returns>
    private IDumpPart? TryCopy(DumpFilling filling, IDumpPart part, ByteRange range, byte[] buffer, ref ulong left, ref StorageException? problem, CancellationToken cancellation)
    {
        for (ulong at = range.Start; at < range.End; at += PieceBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Headroom.JudgeGrowth(filling.Directory, left) is string shortage)
                throw new StorageException(shortage);
            var piece = new ByteRange(at, Math.Min(range.End, at + PieceBytes));
            var bytes = buffer.AsSpan(0, (int)piece.Length);
            try
            {
                part.Read(piece.Start, bytes);
            }
            catch (StorageException e)
            {
                problem ??= e;
                return part;
            }

            // What cannot be had leaves the dump as it is.
            if (!filling.Manifest.Stitching && !filling.TryBegin())
                return null;
            if (at == range.Start)
                filling.BeginRange(part);
            filling.Write(part, piece, bytes);
            left -= piece.Length;
            onFetched?.Invoke((long)piece.Length);
            if (filling.UnnotedBytes >= NoteEveryBytes)
                filling.Note();
        }

        return null;
    }

    /// <summary>Whatever comes to pass, what was written is told of, and the dump is no longer one that is being written.</summary>
    private static void EndInTrouble(DumpFilling filling)
    {
        try
        {
            if (filling.Manifest.Stitching)
                filling.End(key: null);
        }
        catch (StorageException)
        {
            // Then it stays one, and the next attempt ends it.
        }
    }
}
