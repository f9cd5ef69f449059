using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>What an owner of a dump that nodes share knows: which owner it is, what those before it stored, and what it stores itself.</summary>
/// <remarks>Each owner has a number, its epoch, and writes only to its own segment and ledger. Thread-safe.</remarks>
internal sealed class SharedDump : IDisposable
{
    private const int HasNone = -1;
    private const int HasOwn = -2;

    private readonly DumpIdentity _identity;
    private readonly SafeFileHandle _folder;
    private readonly string _next;
    private readonly Segment[] _earlier;
    private readonly ByteRange[][] _ranges;
    private readonly string[] _names;
    private readonly SafeFileHandle?[] _files;
    private readonly Coverage _base;
    private readonly Lock _storing = new();
    private readonly Coverage _own = new();

    /// <summary>Rewritten since <see cref="TakeRewritten"/>.</summary>
    private List<ByteRange> _rewritten = [];

    private volatile bool _isSuperseded;

    /// <param name="identity">Whose dump.</param>
    /// <param name="folder">Its open directory, which stays the caller's.</param>
    /// <param name="epoch">The owner's number, from 1 on.</param>
    /// <param name="node">This node.</param>
    /// <param name="earlier">What the owners before have stored; no two have a byte in common.</param>
    /// <param name="entries">Where running dumps are listed; stays the caller's.</param>
    public SharedDump(DumpIdentity identity, SafeFileHandle folder, int epoch, string node, IReadOnlyList<Segment> earlier, RunningDumps entries)
    {
        _folder = folder;
        Epoch = epoch;
        Node = node;
        Entries = entries;
        _earlier = [.. earlier];
        _ranges = [.. earlier.Select(segment => segment.Ranges.ToArray())];
        _names = [.. earlier.Select(segment => SegmentName.Of(DumpFile.NameOf(identity), segment.Epoch))];
        _files = new SafeFileHandle?[_earlier.Length];
        _base = RangeList.ToCoverage(earlier.SelectMany(segment => segment.Ranges));
        _next = SegmentName.LedgerOf(DumpFile.NameOf(identity), epoch + 1);
        _identity = identity;
        entries.Own(identity, epoch);
    }

    public int Epoch { get; }

    public string Node { get; }

    public RunningDumps Entries { get; }

    public IReadOnlyList<Segment> Earlier => _earlier;

    /// <summary>Another owner has begun, or the dump is over. For good: what cannot be told counts as well, because the next owner may be this node again.</summary>
    /// <remarks>
    /// A new owner takes the right to write from the ledger of the one before, which the server of a network file system tells whatever names it has cached, and without a lock on the directory that
    /// hundreds of others make their files in. Only where files have no modes the new ledger's name is looked for.
    /// </remarks>
    public bool IsSuperseded(SafeFileHandle ledger)
    {
        // In this order: ledgers are removed from the first one on.
        if (!_isSuperseded && ((!Entries.HeedsModes && !Posix.IsMissing(_folder, _next)) || !Posix.IsNamedAndWritable(ledger)))
            _isSuperseded = true;
        return _isSuperseded;
    }

    /// <summary>This owner's segment has these bytes now.</summary>
    public void OnWritten(ReadOnlySpan<WriteSlice> slices)
    {
        lock (_storing)
        {
            foreach (ref readonly var slice in slices)
            {
                ulong end = slice.Offset + (uint)slice.Length;
                _own.Add(slice.Offset, end);
                if (_base.Intersects(slice.Offset, end))
                    _rewritten.AddRange(RangeList.Common([new(slice.Offset, end)], _base.Ranges));
            }
        }
    }

    /// <summary>Bytes that an owner before has as well, and that are right here since the last time this was asked; null where there are none.</summary>
    public ByteRange[]? TakeRewritten()
    {
        lock (_storing)
        {
            if (_rewritten.Count == 0)
                return null;
            ByteRange[] rewritten = [.. RangeList.ToCoverage(_rewritten).Ranges];
            _rewritten = [];
            return rewritten;
        }
    }

    /// <summary>All segments, this owner's last, without what a later one has rewritten.</summary>
    public IReadOnlyList<Segment> Segments()
    {
        lock (_storing)
        {
            ByteRange[] own = [.. _own.Ranges];
            return [.. _earlier.Select((segment, i) => segment with { Ranges = RangeList.Except(_ranges[i], own) }), new(Epoch, Node, own)];
        }
    }

    /// <summary>They are not noted yet.</summary>
    public void GiveBackRewritten(ByteRange[] rewritten)
    {
        lock (_storing)
            _rewritten.AddRange(rewritten);
    }

    /// <summary>Reads from whichever segments have the bytes; what none has below the end of what is stored is zeros.</summary>
    /// <returns>How many there are; less than 0, with <see cref="Errno.Last"/> set, when one of them cannot be read.</returns>
    public int Read(SafeFileHandle own, Span<byte> bytes, ulong offset)
    {
        int done = 0;
        while (done < bytes.Length)
        {
            int read = ReadPiece(own, bytes[done..], offset + (uint)done);
            if (read <= 0)
                return read < 0 ? read : done;
            done += read;
        }

        return done;
    }

    public void Dispose()
    {
        Entries.Disown(_identity, Epoch);
        lock (_files)
        {
            foreach (var file in _files)
                file?.Dispose();
        }
    }

    private int ReadPiece(SafeFileHandle own, Span<byte> bytes, ulong offset)
    {
        int owner = OwnerOf(offset, out ulong end);
        bytes = bytes[..(int)Math.Min((ulong)bytes.Length, end - offset)];
        switch (owner)
        {
            case HasOwn:
                return Posix.ReadAt(own, bytes, (long)offset);
            case HasNone when end == ulong.MaxValue:
                return 0;
            case HasNone:
                bytes.Clear();
                return bytes.Length;
            default:
                return ReadEarlier(owner, bytes, offset);
        }
    }

    private int ReadEarlier(int owner, Span<byte> bytes, ulong offset)
    {
        if (FileOf(owner) is not SafeFileHandle file)
            return -1;
        int read = Posix.ReadAt(file, bytes, (long)offset);
        if (read >= 0)
            return read;

        // What the server of a network file system has forgotten is opened anew the next time.
        int errno = Errno.Last;
        lock (_files)
        {
            if (_files[owner] == file)
                _files[owner] = null;
        }

        file.Dispose();
        Marshal.SetLastPInvokeError(errno);
        return -1;
    }

    /// <summary>Who has the byte at an offset, and up to where that is so.</summary>
    private int OwnerOf(ulong offset, out ulong end)
    {
        end = ulong.MaxValue;
        lock (_storing)
        {
            if (Has(_own.Ranges, offset, ref end))
                return HasOwn;
        }

        for (int i = 0; i < _ranges.Length; i++)
        {
            if (Has(_ranges[i], offset, ref end))
                return i;
        }

        return HasNone;
    }

    /// <summary>One of the ranges has the byte; <paramref name="end"/> becomes less where that ends, or where the next one begins.</summary>
    private static bool Has(ReadOnlySpan<ByteRange> ranges, ulong offset, ref ulong end)
    {
        int i = RangeList.IndexAt(ranges, offset);
        if (i == ranges.Length)
            return false;
        bool has = ranges[i].Start <= offset;
        end = Math.Min(end, has ? ranges[i].End : ranges[i].Start);
        return has;
    }

    private SafeFileHandle? FileOf(int earlier)
    {
        lock (_files)
            return _files[earlier] ??= Posix.OpenAt(_folder, _names[earlier], Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
    }
}
