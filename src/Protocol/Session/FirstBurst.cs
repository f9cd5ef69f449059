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

    /// <summary>As far from the packet that came first in the dump as in seqnos; the lower of two packets of a burst is a full one.</summary>
    private bool IsOfFirstBurst(uint seqno, ulong offset, int length)
    {
        int distance = (int)(seqno - _seqno);
        return offset == _offset + (ulong)((long)distance * (distance > 0 ? _length : length));
    }

    /// <summary>The burst's bytes, when they came in one piece at an offset other than 0.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes is null || _kept.Count != 1
        ? []
        : _bytes.AsSpan((int)(_kept.Ranges[0].Start - _start), (int)_kept.CoveredBytes);
}
