using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    /// <summary>Does of a shared dump's <see cref="Commit"/> what FINISHED's ack waits for; nothing where it is done, or where the dump is this process's alone.</summary>
    /// <param name="file">The dump.</param>
    /// <param name="summary">What it came to.</param>
    /// <param name="circumstances">Its circumstances.</param>
    /// <param name="onPromised">Called where the dump is whole: FINISHED may be acked.</param>
    /// <exception cref="StorageException">Something could not be written; the message names it. It may be tried again.</exception>
    /// <exception cref="SupersededException">Another node has the dump.</exception>
    public void Promise(DumpFile file, DumpSummary summary, DumpCircumstances circumstances, Action? onPromised)
    {
        Check(summary);
        if (!file.IsShared)
            return;
        var commit = file.Commit ??= Mark(file, summary, circumstances);
        if (commit.IsPromised)
            return;
        Promise(file);
        commit.IsPromised = true;
        if (commit.Marker.IsWhole)
            onPromised?.Invoke();
    }

    /// <summary>Ends a shared dump. Only the marker needs this node; from then on any other one would do the rest, which comes to the same whoever does it, twice as well.</summary>
    private CommittedDump CommitShared(DumpFile file, DumpSummary summary, DumpCircumstances circumstances, Action? onPromised)
    {
        Promise(file, summary, circumstances, onPromised);
        var commit = file.Commit!;
        var committed = Finish(file, commit);
        return commit.Failure is string failure ? throw new StorageException(failure) { Kept = committed } : committed;
    }

    /// <summary>Puts the dump's bytes on the device and names the marker, unless another node has the dump.</summary>
    private SharedCommit Mark(DumpFile file, DumpSummary summary, DumpCircumstances circumstances)
    {
        if (file.IsSuperseded())
            throw Superseded(file);
        string? failure = null;
        if (!file.TrySyncData(out string? error))
        {
            // Names that are not durable may be at the next attempt.
            if (file.SyncError is null)
                throw new StorageException(error!);
            failure = error;
        }

        Step(SharedStep.DataSettled);
        IReadOnlyList<Segment> segments = [.. file.Shared!.Segments().Select(segment => WithinFile(file, segment))];
        var stored = RangeList.ToCoverage(segments.SelectMany(segment => segment.Ranges));
        failure ??= Lacking(summary, stored);
        // A dump that ended by a write error says so already.
        if (summary.Reason == EndReason.WriteError)
            failure = null;
        if (failure is not null)
            summary = Failed(WithHolesOf(summary, stored), failure);

        ulong length = LengthOf(summary, stored);
        var names = ClaimIndex(file, summary, HostFileName.From(circumstances.Host), out bool isBase);
        try
        {
            SyncNames(file.Folder);
            Step(SharedStep.IndexClaimed);
            var marker = MarkerOf(file, names, summary, circumstances, length, segments, isBase ? file.Epoch : 0);
            string name = SegmentName.LedgerOf(DumpFile.NameOf(file.Identity), file.Epoch + 1);
            using var draft = AtomicFile.Draft(file.Folder.Handle, name, marker.ToBytes(), Posix.FileMode);
            draft.Sync();
            Step(SharedStep.MarkerDrafted);
            if (!draft.TryPublish())
                throw Superseded(file);
            Step(SharedStep.MarkerNamed);
            return new(marker) { IsOwn = true, Failure = failure };
        }
        catch (StorageException)
        {
            DropIndex(file, names, isBase);
            throw;
        }
    }

    /// <summary>Has the marker outlive a crash.</summary>
    private static void Promise(DumpFile file)
    {
        SyncNames(file.Folder);
        // Where all was over before, and removed, the marker had no meaning: ledgers are removed from the first one on, so this one went before the name that the marker took.
        // Unless others have done all that it says.
        if (!file.HasLedger() && !IsPublished(file.Folder, file.Commit!.Marker))
        {
            _ = Posix.Unlink(file.Folder.Handle, SegmentName.LedgerOf(DumpFile.NameOf(file.Identity), file.Epoch + 1));
            DropIndex(file, file.Commit.Marker.Names, file.Commit.Marker.BaseEpoch != 0);
            file.Commit = null;
            throw Superseded(file);
        }

        file.Shared!.Entries.OnStep?.Invoke(SharedStep.MarkerDurable);
    }

    private static SupersededException Superseded(DumpFile file)
    {
        var marker = OwnerChain.Read(file.Folder, DumpFile.NameOf(file.Identity)) is { Marker: { } its } ? its : null;
        return new($"{file.PartialPath}: another node has {(marker is null ? "taken the dump over" : "ended the dump")}") { IsCommitted = marker is not null, IsWhole = marker is { IsWhole: true } };
    }

    /// <summary>The segment without what its file has lost since it was acked.</summary>
    /// <exception cref="StorageException">It cannot be told.</exception>
    private static Segment WithinFile(DumpFile file, Segment segment)
    {
        string name = SegmentName.Of(DumpFile.NameOf(file.Identity), segment.Epoch);
        ulong end = segment.Epoch == file.Epoch ? (ulong)file.ReadLength()
            : Posix.TimesOf(file.Folder.Handle, name) is { } its ? (ulong)its.LengthBytes
            : Errno.Last == Errno.ENOENT ? 0ul : throw new StorageException($"length of {file.Folder.PathOf(name)}: {Errno.Words(Errno.Last)}");
        return segment with { Ranges = RangeList.Common([.. segment.Ranges], [new(0, end)]) };
    }

    /// <summary>Why the segments are not all that was acked, in words, or null.</summary>
    private static string? Lacking(DumpSummary summary, Coverage stored)
    {
        // Only what is listed is known to be missing.
        if (summary.MissingRanges > summary.Missing.Count)
            return null;
        var lacking = RangeList.Except([.. RangeList.Except([new(0, summary.LengthBytes)], [.. summary.Missing])], stored.Ranges);
        return lacking.Count == 0 ? null : FormattableString.Invariant($"{RangeList.BytesOf(lacking)} bytes that were stored are in no segment any more, the first at offset 0x{lacking[0].Start:x}");
    }

    private static DumpSummary WithHolesOf(DumpSummary summary, Coverage stored)
    {
        ByteRange[] holes = [.. stored.Missing(Math.Max(summary.LengthBytes, summary.Header is { IsValid: true } header ? header.DumpLength : 0))];
        return summary with
        {
            Missing = [.. holes.Take(DumpSummary.MaxListedRanges)],
            MissingBytes = RangeList.BytesOf(holes),
            MissingRanges = holes.Length,
            CoveredBytes = RangeList.BytesOf(RangeList.Common(stored.Ranges, [new(0, LengthOf(summary, stored))])),
        };
    }

    private static ulong LengthOf(DumpSummary summary, Coverage stored) => summary.Status == DumpStatus.Incomplete
        ? Math.Max(summary.LengthBytes, Math.Min(stored.End, summary.KeptBytes))
        : summary.LengthBytes;

    private static CommitMarker MarkerOf(DumpFile file, CoreNames names, DumpSummary summary, DumpCircumstances circumstances, ulong length, IReadOnlyList<Segment> segments, int baseEpoch)
    {
        Segment[] parts = [.. segments.Select(segment => segment with { Ranges = RangeList.Common([.. segment.Ranges], [new(0, length)]) }).Where(segment => segment.Ranges.Count > 0)];
        var manifest = Manifest.Of(file.Identity, names, summary, circumstances, checked((long)length));
        if (file.Epoch > 1)
        {
            manifest = manifest with
            {
                Epoch = file.Epoch,
                Segments = [.. parts.Select(segment => new ManifestSegment(segment.Epoch, segment.Node, RangeList.BytesOf(segment.Ranges), segment.Ranges.Count))],
            };
        }

        return new()
        {
            Identity = file.Identity,
            Endpoint = file.Endpoint,
            Epoch = file.Epoch,
            Names = names,
            IsWhole = summary.Status != DumpStatus.Incomplete,
            LengthBytes = length,
            BaseEpoch = baseEpoch,
            Segments = parts,
            Manifest = ManifestWriter.ToUtf8(manifest),
            Info = InfoTextOf(file, names, summary),
            Key = summary.Key ?? ReadOnlyMemory<byte>.Empty,
        };
    }

    /// <summary>Takes the next free index of the host for this owner's segment, which stays where it is as well.</summary>
    /// <param name="file">The dump.</param>
    /// <param name="summary">What it came to.</param>
    /// <param name="host">The host as it is in file names.</param>
    /// <param name="isBase">The segment has the name; where a file has one name only, an empty file of its own has.</param>
    /// <remarks>This owner's segment and no larger one: an owner before, slow or cut off, may still write to its own when this dump has long been ended.</remarks>
    private CoreNames ClaimIndex(DumpFile file, DumpSummary summary, string host, out bool isBase)
    {
        var folder = file.Folder;
        for (long index = ReadBounds(folder, host); ; index++)
        {
            var names = CoreNames.Of(summary, host, index);
            if (IsIndexTaken(folder, names))
                continue;

            // Outside of the lock, because it waits for the device.
            file.NoteCommitting(names);
            Step(SharedStep.IndexNoted);
            lock (NamingOf(file.Device, host))
            {
                if (!TryClaim(file, names, out isBase))
                    continue;
                // Another node may have taken the index with another name, of a compressed dump for instance; both go on looking then.
                if (!names.AllOfIndex().Any(name => name != names.Core && Posix.KindOf(folder.Handle, name) != NameKind.Missing))
                    return names;
                DropIndex(file, names, isBase);
            }
        }
    }

    private static bool TryClaim(DumpFile file, CoreNames names, out bool isBase)
    {
        var folder = file.Folder;
        int errno = Posix.Link(folder.Handle, file.Name, names.Core);
        // A server that answered and was not heard says so at the second time.
        isBase = errno == 0 || file.IsCalled(names.Core);
        if (isBase)
            return true;
        if (errno == Errno.EEXIST)
            return false;
        if (errno != Errno.EPERM && errno != Errno.ENOSYS && errno != Errno.EOPNOTSUPP)
            throw new StorageException($"{file.PartialPath}: cannot be linked to {names.Core}: {Errno.Words(errno)}");

        // A file system on which a file has one name.
        using var core = Posix.OpenAt(folder.Handle, names.Core, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode);
        return core is not null || (Errno.Last == Errno.EEXIST ? false : throw new StorageException($"{folder.PathOf(names.Core)}: cannot be created: {Errno.Words(Errno.Last)}"));
    }

    /// <summary>Gives back an index that nothing came of.</summary>
    private static void DropIndex(DumpFile file, CoreNames names, bool isBase)
    {
        if (!isBase || file.IsCalled(names.Core))
            _ = Posix.Unlink(file.Folder.Handle, names.Core);
    }
}
