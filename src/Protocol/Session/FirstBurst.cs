namespace NetdumpCollector.Protocol.Session;

/// <summary>A copy of a dump's first burst when it came at an offset other than 0, in case it belongs there.</summary>
/// <remarks>
/// After an earlier netdump in the same ddb session the kernel sends the minidump header page at a stale offset
/// (protocol.md, "Three kernel bugs", 3). Packets are kept as one contiguous run; the first that does not continue it ends the burst.
/// </remarks>
internal sealed class FirstBurst
{
    private byte[]? _bytes;
    private ulong _start;
    private ulong _end;
    private uint _seqno;
    private ulong _offset;
    private int _length;
    private readonly Coverage _kept = new();
    private bool _over;

    /// <summary>Of bytes that change no more: a state is made with each burst.</summary>
    private uint? _checksum;

    /// <summary>Takes note of a new VMCORE packet.</summary>
    public void OnPacket(uint seqno, ulong offset, ReadOnlySpan<byte> payload)
    {
        if (_over)
            return;
        if (offset == 0)
        {
            _over = true;
            _bytes = null;
            return;
        }

        if (_bytes is null)
        {
            _bytes = new byte[WellKnown.BurstBytes];
            // Packets may be out of order: what comes before this one finds room below it.
            _start = offset - Math.Min(offset, WellKnown.BurstBytes / 2);
            _end = _start + WellKnown.BurstBytes;
            _seqno = seqno;
            _offset = offset;
            _length = payload.Length;
        }

        if (!IsOfFirstBurst(seqno, offset, payload.Length) || offset < _start || offset + (ulong)payload.Length > _end)
        {
            _over = true;
            return;
        }

        payload.CopyTo(_bytes.AsSpan((int)(offset - _start)));
        _kept.Add(offset, offset + (ulong)payload.Length);
    }

    /// <summary>The bytes are about to be moved: what comes now no longer changes them.</summary>
    public void End() => _over = true;

    /// <summary>As far from the packet that came first in the dump as in seqnos; the lower of two packets of a burst is a full one.</summary>
    private bool IsOfFirstBurst(uint seqno, ulong offset, int length)
    {
        int distance = (int)(seqno - _seqno);
        return offset == _offset + (ulong)((long)distance * (distance > 0 ? _length : length));
    }

    /// <summary>Bytes that <see cref="Save"/> writes.</summary>
    public const int StateBytes = 48;

    /// <summary>Where the bytes lie in the dump, when they came in one piece at an offset other than 0.</summary>
    public ByteRange? Kept => _bytes is null || _kept.Count != 1 ? null : _kept.Ranges[0];

    /// <summary>It has a copy of <c>[start, end)</c>.</summary>
    public bool Holds(ulong start, ulong end) => _bytes is not null && _kept.Contains(start, end);

    /// <summary>Writes down what another process needs besides the bytes, which are in the dump.</summary>
    public void Save(Span<byte> state)
    {
        var to = new StateWriter(state);
        var kept = Kept;
        // What lies in several pieces is no burst to relocate as it is; it ends with the process.
        to.Flag(_over || (_bytes is not null && kept is null));
        to.U64(kept?.Start ?? 0);
        to.U64(kept?.End ?? 0);
        to.U64(_start);
        to.U32(_seqno);
        to.U64(_offset);
        to.I32(_length);
        to.U32(kept is null ? 0 : _over ? _checksum ??= ChecksumOf(Bytes) : ChecksumOf(Bytes));
    }

    /// <summary>Where the bytes of the saved burst lay in the dump, or null.</summary>
    public static ByteRange? KeptIn(ReadOnlySpan<byte> state)
    {
        var from = new StateReader(state);
        _ = from.Flag();
        ulong start = from.U64(), end = from.U64();
        return end > start && end - start <= WellKnown.BurstBytes ? new(start, end) : null;
    }

    /// <summary>Goes on where <see cref="Save"/> left off.</summary>
    /// <param name="state">What it wrote.</param>
    /// <param name="bytes">What the dump has at <see cref="KeptIn"/>.</param>
    /// <param name="moved">What the dump has at offset 0, where the burst was moved before the dump's own bytes could overwrite it.</param>
    public static FirstBurst Restore(ReadOnlySpan<byte> state, ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> moved)
    {
        var from = new StateReader(state);
        var restored = new FirstBurst { _over = from.Flag() };
        ulong start = from.U64(), end = from.U64();
        if (end <= start || (ulong)bytes.Length != end - start)
            return restored;

        restored._bytes = new byte[WellKnown.BurstBytes];
        restored._start = from.U64();
        restored._end = restored._start + WellKnown.BurstBytes;
        restored._seqno = from.U32();
        restored._offset = from.U64();
        restored._length = from.I32();
        uint checksum = from.U32();
        if (ChecksumOf(bytes) != checksum)
            bytes = moved;
        if (start < restored._start || end > restored._end || (ulong)bytes.Length != end - start || ChecksumOf(bytes) != checksum)
            return new() { _over = true };

        bytes.CopyTo(restored._bytes.AsSpan((int)(start - restored._start)));
        restored._kept.Add(start, end);
        return restored;
    }

    /// <summary>Tells the burst's bytes from others that were written in their place (FNV-1a).</summary>
    private static uint ChecksumOf(ReadOnlySpan<byte> bytes)
    {
        uint hash = 2166136261;
        foreach (byte b in bytes)
            hash = (hash ^ b) * 16777619;
        return hash;
    }

    /// <summary>The burst is over and the dump goes on behind the place where its bytes are missing: that is where they belong.</summary>
    public bool IsFollowedBy(ulong offset) => _over && _bytes is not null && _kept.Count == 1 && offset >= _kept.CoveredBytes;

    /// <summary>The burst's bytes, when they came in one piece at an offset other than 0.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes is null || _kept.Count != 1
        ? []
        : _bytes.AsSpan((int)(_kept.Ranges[0].Start - _start), (int)_kept.CoveredBytes);
}
