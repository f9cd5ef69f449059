using System.Buffers;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;
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
    /// <summary>Bytes that are asked for and held in memory at one time.</summary>
    public const int PieceBytes = 4 << 20;

    /// <summary>Bytes that may have to be fetched again after a crash.</summary>
    internal ulong NoteEveryBytes { get; init; } = 256 << 20;

    /// <summary>Parts are fetched for it: it has its end, which says how long it is, and lacks something that other nodes may have.</summary>
    /// <remarks>Not where policy let bytes go, nor where the object store has it as it is: that one stays what it says.</remarks>
    public static bool IsWanted(Manifest manifest) =>
        manifest is { Status: DumpStatus.Incomplete, Kdh.Valid: true, TruncatedBy: null, Stored: null, Reason: not EndReason.WriteError };

    /// <summary>It may become more than it is: whoever brings dumps elsewhere waits.</summary>
    /// <param name="manifest">The dump.</param>
    /// <param name="now">The time.</param>
    /// <param name="patience">So long after its end nobody waits any more.</param>
    public static bool IsAwaited(Manifest manifest, DateTimeOffset now, TimeSpan patience) =>
        manifest.Stitching || (manifest is { Status: DumpStatus.Incomplete, Continues: not null } && now - manifest.EndedAt < patience);

    /// <summary>Fetches what the dump lacks and the parts have. Blocks for as long as that takes.</summary>
    /// <param name="manifestPath">The dump's manifest.</param>
    /// <param name="parts">Other parts of the same dump that have ended, in any order.</param>
    /// <param name="cancellation">Ends it; the next attempt goes on.</param>
    /// <param name="manifest">What the dump's manifest says afterwards.</param>
    /// <exception cref="StorageException">A part cannot be read now, or the dump's own files cannot be written; the next attempt goes on.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was requested.</exception>
    public StitchOutcome Run(string manifestPath, IReadOnlyList<IDumpPart> parts, CancellationToken cancellation, out Manifest manifest)
    {
        manifest = ManifestFile.Read(manifestPath);
        string own = manifest.Id;
        if (!IsWanted(manifest))
            return StitchOutcome.NotWanted;
        using var claim = UploadState.Take(new(manifestPath, manifest));
        if (claim is null)
            return StitchOutcome.Busy;

        // Of bytes that several parts have, those of the one that was at it last are the client's last.
        IDumpPart[] newestFirst = [.. parts.Where(part => part.Manifest.Id != own).OrderByDescending(part => part.Manifest.StartedAt)];
        var held = PartRanges.HeldBy(manifest);
        var plan = PartRanges.Plan([.. held.Missing(manifest.Kdh!.DumpLength)], [.. newestFirst.Select(part => part.Manifest)]);
        bool wantsKey = StitchedDescription.KeyBytesOf(manifest) > 0 && KeyNameOf(manifestPath, manifest) is null;
        var keyPart = wantsKey ? newestFirst.FirstOrDefault(part => part.Manifest.Files.Key is not null) : null;
        if (plan.Count == 0 && keyPart is null && !manifest.Stitching)
            return StitchOutcome.Lacking;

        using var vmcore = StoredFile.OpenToFill(root, new(manifestPath, manifest));
        var segments = new SegmentTally(manifest, node, held);
        manifest = ManifestFile.Update(manifestPath, m => IsWanted(m) ? Unhashed(m) with { Stitching = true } : m);
        if (!IsWanted(manifest))
            return StitchOutcome.NotWanted;

        var damaged = new List<ByteRange>();
        ulong unnoted = 0;
        try
        {
            foreach (var (range, index) in plan)
            {
                var part = newestFirst[index];
                segments.Begin(part);
                damaged.AddRange(RangeList.Common([range], RangeList.ToCoverage(part.Manifest.Damaged).Ranges));
                for (ulong at = range.Start; at < range.End; at += PieceBytes)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var piece = new ByteRange(at, Math.Min(range.End, at + PieceBytes));
                    Copy(part, vmcore, piece);
                    held.Add(piece.Start, piece.End);
                    segments.Add(piece.Length);
                    onFetched?.Invoke((long)piece.Length);
                    unnoted += piece.Length;
                    if (unnoted < NoteEveryBytes)
                        continue;
                    unnoted = 0;
                    Note(manifestPath, vmcore, held, damaged, segments.All, isEnd: false);
                }
            }
        }
        catch (StorageException) when (unnoted > 0)
        {
            // A part that cannot be read for a while costs no byte of what was.
            Note(manifestPath, vmcore, held, damaged, segments.All, isEnd: false);
            throw;
        }

        string? key = keyPart is null ? null : FetchKey(manifestPath, manifest, keyPart);
        ulong length = manifest.Kdh!.DumpLength;
        if (held.Contains(0, length) && vmcore.CurrentLength > (long)length && Posix.Truncate(vmcore.Handle, (long)length) is not 0 and var errno)
            throw new StorageException($"{vmcore.Name}: cannot be truncated to {length} bytes: {Errno.Words(errno)}");
        manifest = Note(manifestPath, vmcore, held, damaged, segments.All, isEnd: true, key);
        return manifest.Status == DumpStatus.Incomplete ? StitchOutcome.Lacking : StitchOutcome.Whole;
    }

    /// <summary>Nobody may take the file's hash of before for true.</summary>
    private static Manifest Unhashed(Manifest manifest) => manifest.HashState == HashState.Off ? manifest : manifest with { Sha256 = null, HashState = HashState.Pending };

    /// <summary>Says what is durable by now; where it has come to its end, info file and key first, which a manifest tells of.</summary>
    private static Manifest Note(string manifestPath, StoredFile vmcore, Coverage held, List<ByteRange> damaged, IReadOnlyList<ManifestSegment> segments, bool isEnd, string? key = null)
    {
        Sync(vmcore);
        return ManifestFile.Update(manifestPath, before =>
        {
            if (!before.Stitching || before.Kdh is null)
                return before;
            var now = StitchedDescription.Of(before, held, damaged, segments, (ulong)vmcore.CurrentLength, key ?? KeyNameOf(manifestPath, before));
            if (!isEnd)
                return now;
            var names = NamesOf(before);
            using var directory = OpenDirectoryOf(manifestPath);
            AtomicFile.Write(directory, names.Info, StitchedDescription.InfoOf(now, names.Manifest), Posix.FileMode, replace: true);
            if (Posix.SyncDirectory(directory) is not 0 and var errno)
                throw new StorageException($"directory of {manifestPath}: not durable, fsync failed: {Errno.Words(errno)}");
            return now with
            {
                Stitching = false,
                HashState = now.HashState == HashState.Pending && !DumpHash.IsWorthwhile(now.Bytes, now.CoveredBytes) ? HashState.Skipped : now.HashState,
            };
        });
    }

    private static void Copy(IDumpPart part, StoredFile vmcore, ByteRange piece)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)piece.Length);
        try
        {
            var bytes = buffer.AsSpan(0, (int)piece.Length);
            part.Read(piece.Start, bytes);
            for (int done = 0; done < bytes.Length;)
            {
                int written = Posix.WriteAt(vmcore.Handle, bytes[done..], (long)piece.Start + done);
                if (written <= 0)
                    throw new StorageException($"{vmcore.Name}: cannot be written: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}");
                done += written;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static void Sync(StoredFile vmcore)
    {
        if (Posix.Sync(vmcore.Handle) is not 0 and var errno)
            throw new StorageException($"{vmcore.Name}: not durable, fsync failed: {Errno.Words(errno)}");
    }

    /// <returns>Its name; null where that part does not have all of it either.</returns>
    private static string? FetchKey(string manifestPath, Manifest manifest, IDumpPart part)
    {
        byte[] key = part.ReadKey();
        if (key.Length < StitchedDescription.KeyBytesOf(manifest))
            return null;
        string name = NamesOf(manifest).Key;
        using var directory = OpenDirectoryOf(manifestPath);
        AtomicFile.Write(directory, name, key, Posix.KeyMode, replace: true);
        return name;
    }

    /// <summary>The key file's name where all of it is there.</summary>
    private static string? KeyNameOf(string manifestPath, Manifest manifest) =>
        manifest.Files.Key is string key && new FileInfo(Path.Join(Path.GetDirectoryName(manifestPath), key)) is { Exists: true } file && file.Length >= StitchedDescription.KeyBytesOf(manifest) ? key : null;

    private static CoreNames NamesOf(Manifest manifest) => new() { Host = manifest.Host, Index = manifest.Index, Core = manifest.Files.Vmcore };

    private static SafeFileHandle OpenDirectoryOf(string manifestPath) =>
        Posix.Open(Path.GetDirectoryName(manifestPath)!, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"directory of {manifestPath}: {Errno.Words(Errno.Last)}");
}
