using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    /// <summary>Does what a marker says: joins the segments, describes the dump, removes the segments.</summary>
    /// <remarks>Everything but the name of the node that names the manifest comes from the marker, and each step leaves the same whoever takes it, so a node that was paused in the middle does no harm when it goes on.</remarks>
    /// <exception cref="StorageException">Something could not be done; segments and marker are there for the next attempt.</exception>
    private CommittedDump Finish(DumpFile file, SharedCommit commit)
    {
        var folder = file.Folder;
        var marker = commit.Marker;
        // Of those who do it at once one names the manifest, and what follows is that node's.
        var manifest = ManifestIn(folder, marker) with { Node = Sharing!.FileName };
        string? pointerProblem = null;
        if (!IsPublished(folder, marker) && OpenCore(folder, marker) is { } opened)
        {
            using var core = opened;
            Step(SharedStep.CoreOpened);
            if (Join(folder, marker, core))
                commit.IsPublisher |= Publish(file, marker, manifest, out pointerProblem);
        }

        // Whoever gave the manifest its name may not have come to this.
        SyncNames(folder);
        Step(SharedStep.ManifestDurable);
        SharedRemoval.RemoveSegments(folder, marker, Step);
        return new(marker.Identity.Id, folder.PathOf(marker.Names.Manifest), folder.RelativePathOf(marker.Names.Info), folder.RelativePathOf(marker.Names.Core), manifest)
        {
            PointerProblem = pointerProblem,
            IsElsewhere = !commit.IsPublisher,
        };
    }

    private static Manifest ManifestIn(DumpFolder folder, CommitMarker marker)
    {
        try
        {
            return JsonSerializer.Deserialize(marker.Manifest.Span, ManifestJson.Default.Manifest) ?? throw new StorageException($"{folder.PathOf(marker.Names.Manifest)}: is null");
        }
        catch (JsonException e)
        {
            // A later version of this program may have written it.
            throw new StorageException($"{folder.PathOf(marker.Names.Manifest)}: {e.Message}", e);
        }
    }

    private static bool IsPublished(DumpFolder folder, CommitMarker marker) =>
        ManifestOf(folder, new(marker.Names.Core, marker.Names.Manifest), marker.Identity.Id) is not null;

    /// <summary>Opens the file that the segments are joined in; null where another node has done all, and it is gone again.</summary>
    private static SafeFileHandle? OpenCore(DumpFolder folder, CommitMarker marker)
    {
        string core = marker.Names.Core;
        string segment = SegmentName.Of(DumpFile.NameOf(marker.Identity), marker.BaseEpoch);
        if (Open() is SafeFileHandle file)
        {
            // Somebody may have deleted it, and the host's next dump has the name.
            if (marker.BaseEpoch == 0 || Posix.InodeOf(folder.Handle, segment) is 0 || Posix.IsNameOf(Posix.InodeOf(file), folder.Handle, segment))
                return file;
            file.Dispose();
            throw new StorageException($"{folder.PathOf(core)}: is another dump's, not {segment}'s; its segments stay as they are");
        }

        if (Errno.Last != Errno.ENOENT)
            throw new StorageException($"{folder.PathOf(core)}: {Errno.Words(Errno.Last)}");

        // A crash of the storage took the name.
        int errno = marker.BaseEpoch == 0 ? Errno.ENOENT : Posix.Link(folder.Handle, segment, core);
        if (errno == Errno.ENOENT)
            return null;
        return Open() ?? throw new StorageException($"{folder.PathOf(core)}: {Errno.Words(errno)}");

        SafeFileHandle? Open() => Posix.OpenAt(folder.Handle, core, Posix.O_RDWR | Posix.O_NOFOLLOW);
    }

    /// <summary>Copies what the other segments have, and waits until all is on the device.</summary>
    /// <returns>False where another node has done all meanwhile.</returns>
    private bool Join(DumpFolder folder, CommitMarker marker, SafeFileHandle core)
    {
        foreach (var segment in marker.Segments)
        {
            if (segment.Epoch == marker.BaseEpoch)
                continue;
            string name = SegmentName.Of(DumpFile.NameOf(marker.Identity), segment.Epoch);
            using var from = Posix.OpenAt(folder.Handle, name, Posix.O_RDONLY | Posix.O_NOFOLLOW);
            if (from is null)
            {
                int errno = Errno.Last;
                if (errno == Errno.ENOENT && IsPublished(folder, marker))
                    return false;
                throw new StorageException($"{folder.PathOf(name)}: cannot be joined: {Errno.Words(errno)}");
            }

            foreach (var range in segment.Ranges)
            {
                if (SegmentCopy.Copy(from, core, range) is string error)
                    throw new StorageException($"{folder.PathOf(name)}: cannot be joined with {marker.Names.Core}: {error}");
                Step(SharedStep.RangeJoined);
            }
        }

        if (Posix.Truncate(core, checked((long)marker.LengthBytes)) is not 0 and var truncateError)
            throw new StorageException($"{folder.PathOf(marker.Names.Core)}: cannot be given {marker.LengthBytes} bytes: {Errno.Words(truncateError)}");
        Step(SharedStep.LengthSet);
        int syncError = Syncs is { } meter ? meter.Measure(Posix.Sync, core) : Posix.Sync(core);
        if (syncError != 0)
            throw new StorageException($"{folder.PathOf(marker.Names.Core)}: not durable, fsync failed: {Errno.Words(syncError)}");
        Step(SharedStep.CoreDurable);
        return true;
    }

    /// <summary>Names key, info and manifest, the manifest last.</summary>
    /// <returns>False where another node has named the manifest.</returns>
    private bool Publish(DumpFile file, CommitMarker marker, Manifest manifest, out string? pointerProblem)
    {
        var folder = file.Folder;
        var names = marker.Names;
        using var key = marker.Key.IsEmpty ? null : AtomicFile.Draft(folder.Handle, names.Key, marker.Key.Span, Posix.KeyMode);
        using var info = AtomicFile.Draft(folder.Handle, names.Info, marker.Info.Span, Posix.FileMode);
        using var description = ManifestFile.Draft(folder.Handle, names.Manifest, manifest);
        key?.Sync();
        info.Sync();
        description.Sync();
        // What has one of the names already is this dump's, from a node that came as far: the index is its.
        _ = key?.TryPublish();
        Step(SharedStep.KeyNamed);
        _ = info.TryPublish();
        Step(SharedStep.InfoNamed);
        pointerProblem = PointToNewest(folder, file.Device, names);
        Step(SharedStep.Pointed);
        // A manifest must not outlive a crash that takes back the names it tells of.
        SyncNames(folder);
        if (!description.TryPublish())
            return IsPublished(folder, marker) ? false : throw new StorageException($"{folder.PathOf(names.Manifest)}: is another dump's");
        Step(SharedStep.ManifestNamed);
        if (Posix.KindOf(folder.Handle, names.Core) != NameKind.Missing)
            return true;

        // While this node was paused another one did all, and somebody has deleted the dump.
        foreach (string name in (string[])[names.Manifest, names.Info, names.Key])
            _ = Posix.Unlink(folder.Handle, name);
        return false;
    }
}
