using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>A dump's own file while other parts are written into it, and what its manifest says of that.</summary>
/// <remarks>Nothing is written before <see cref="Manifest.Stitching"/> is durable, and nothing stays written that <see cref="End"/> has not told of.</remarks>
internal sealed class DumpFilling : IDisposable
{
    private readonly string _manifestPath;
    private readonly StoredFile _vmcore;
    private readonly SegmentTally _segments;
    private readonly List<ByteRange> _damaged = [];
    private readonly HashSet<IDumpPart> _compared = [];
    private readonly Action _beforeFirstWrite;

    /// <param name="root">The dump directory.</param>
    /// <param name="node">This node's name.</param>
    /// <param name="dump">The dump.</param>
    /// <param name="beforeFirstWrite">Called once the file is about to become another one.</param>
    public DumpFilling(string root, string node, CatalogedDump dump, Action beforeFirstWrite)
    {
        _manifestPath = dump.ManifestPath;
        _beforeFirstWrite = beforeFirstWrite;
        Manifest = dump.Manifest;
        Held = PartRanges.HeldBy(dump.Manifest);
        _segments = new(dump.Manifest, node, Held);
        _vmcore = StoredFile.OpenToFill(root, dump);
    }

    /// <summary>Absolute path of the directory it lies in.</summary>
    public string Directory => Path.GetDirectoryName(_manifestPath)!;

    /// <summary>What the manifest says.</summary>
    public Manifest Manifest { get; private set; }

    /// <summary>What the file has, noted or not.</summary>
    public Coverage Held { get; }

    /// <summary>Bytes that were written and that the manifest does not say are there.</summary>
    public ulong UnnotedBytes { get; private set; }

    /// <summary>Sees that the part and the file have the same where both have something: the header, all of the bytes where they are few, else samples.</summary>
    /// <param name="part">The part; one that gave bytes before is not looked at again.</param>
    /// <exception cref="ForeignPartException">They have not.</exception>
    /// <exception cref="StorageException">One of them cannot be read.</exception>
    public void Compare(IDumpPart part)
    {
        if (_compared.Contains(part))
            return;
        if (!AgreesWith(part))
            throw new ForeignPartException($"{part.Manifest.Id} of node {part.Node} has another header, or other bytes where both have some: it is of another panic; each stays as it is");
        _compared.Add(part);
    }

    /// <summary>It was seen that the part is of this dump.</summary>
    public bool HasCompared(IDumpPart part) => _compared.Contains(part);

    private bool AgreesWith(IDumpPart part)
    {
        if (Manifest.Segments?.Any(segment => segment.Id == part.Manifest.Id) == true)
            return true;
        if (part.Manifest.Kdh is { Valid: true } header && Manifest.Kdh is { } own && (header.DumpLength, header.DumpTime, header.DumpKeySize) != (own.DumpLength, own.DumpTime, own.DumpKeySize))
            return false;
        // What a kernel sent again, and otherwise, is not compared.
        var rewritten = RangeList.ToCoverage([.. Manifest.Damaged, .. Manifest.Overwritten, .. part.Manifest.Damaged, .. part.Manifest.Overwritten]);
        ByteRange[] both = [.. RangeList.Except([.. RangeList.Common(Held.Ranges, PartRanges.HeldBy(part.Manifest).Ranges)], rewritten.Ranges)];
        byte[] ours = new byte[PartSamples.SampleBytes];
        byte[] theirs = new byte[PartSamples.SampleBytes];
        foreach (var sample in PartSamples.Of(both))
        {
            var mine = ours.AsSpan(0, (int)sample.Length);
            part.Read(sample.Start, theirs.AsSpan(0, mine.Length));
            for (int done = 0; done < mine.Length;)
            {
                int read = RandomAccess.Read(_vmcore.Handle, mine[done..], (long)sample.Start + done);
                if (read == 0)
                    throw new StorageException($"{_vmcore.Name}: ends after {sample.Start + (ulong)done} bytes");
                done += read;
            }

            if (!mine.SequenceEqual(theirs.AsSpan(0, mine.Length)))
                return false;
        }

        return true;
    }

    /// <summary>A range that comes from <paramref name="part"/> is next.</summary>
    public void BeginRange(IDumpPart part) => _segments.Begin(part);

    /// <summary>Says that the file changes from now on.</summary>
    /// <returns>False where the dump is not one any more that parts are fetched for.</returns>
    public bool TryBegin()
    {
        if (!Manifest.Stitching)
            _beforeFirstWrite();
        Manifest = ManifestFile.Update(_manifestPath, m => DumpStitching.IsWanted(m) ? Unhashed(m) with { Stitching = true } : m);
        return DumpStitching.IsWanted(Manifest);
    }

    public void Write(IDumpPart part, ByteRange piece, ReadOnlySpan<byte> bytes)
    {
        for (int done = 0; done < bytes.Length;)
        {
            int written = Posix.WriteAt(_vmcore.Handle, bytes[done..], (long)piece.Start + done);
            if (written <= 0)
                throw new StorageException($"{_vmcore.Name}: cannot be written: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}");
            done += written;
        }

        Held.Add(piece.Start, piece.End);
        _damaged.AddRange(RangeList.Common([piece], RangeList.ToCoverage(part.Manifest.Damaged).Ranges));
        _segments.Add(piece.Length);
        UnnotedBytes += piece.Length;
    }

    /// <summary>Says what is durable by now.</summary>
    public void Note() => Note(isEnd: false, key: null);

    /// <summary>Says what there is, info file and key first, which the manifest tells of.</summary>
    /// <param name="key">The key, where it was missing and has come.</param>
    public void End(byte[]? key)
    {
        ulong length = Manifest.Kdh!.DumpLength;
        if (Held.Contains(0, length) && _vmcore.CurrentLength > (long)length && Posix.Truncate(_vmcore.Handle, (long)length) is not 0 and var errno)
            throw new StorageException($"{_vmcore.Name}: cannot be truncated to {length} bytes: {Errno.Words(errno)}");
        Note(isEnd: true, key);
    }

    public void Dispose() => _vmcore.Dispose();

    /// <summary>Nobody may take the file's hash of before for true.</summary>
    private static Manifest Unhashed(Manifest manifest) => manifest.HashState == HashState.Off ? manifest : manifest with { Sha256 = null, HashState = HashState.Pending };

    private void Note(bool isEnd, byte[]? key)
    {
        if (Posix.Sync(_vmcore.Handle) is not 0 and var errno)
            throw new StorageException($"{_vmcore.Name}: not durable, fsync failed: {Errno.Words(errno)}");
        Manifest = ManifestFile.Update(_manifestPath, before => !before.Stitching || before.Kdh is null ? before : isEnd ? Ended(before, key) : Described(before) with { Status = before.Status, Error = before.Error });
        UnnotedBytes = 0;
    }

    private Manifest Described(Manifest before) =>
        StitchedDescription.Of(before, Held, _damaged, _segments.All, (ulong)_vmcore.CurrentLength, PartKeys.IsWhole(new(_manifestPath, before)));

    private Manifest Ended(Manifest before, byte[]? key)
    {
        var names = new CoreNames { Host = before.Host, Index = before.Index, Core = before.Files.Vmcore };
        using var directory = OpenDirectory();
        if (key is not null)
        {
            AtomicFile.Write(directory, names.Key, key, Posix.KeyMode, replace: true);
            before = before with { KeyMissing = null, Files = before.Files with { Key = names.Key } };
        }

        var now = Described(before);
        AtomicFile.Write(directory, names.Info, StitchedDescription.InfoOf(now, names.Manifest), Posix.FileMode, replace: true);
        if (Posix.SyncDirectory(directory) is not 0 and var errno)
            throw new StorageException($"directory of {_manifestPath}: not durable, fsync failed: {Errno.Words(errno)}");
        return now with
        {
            Stitching = false,
            HashState = now.HashState == HashState.Pending && !DumpHash.IsWorthwhile(now.Bytes, now.CoveredBytes) ? HashState.Skipped : now.HashState,
        };
    }

    private SafeFileHandle OpenDirectory() =>
        Posix.Open(Directory, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"directory of {_manifestPath}: {Errno.Words(Errno.Last)}");
}
