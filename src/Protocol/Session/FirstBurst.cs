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
    private readonly Coverage _kept = new();
    private bool _over;

    /// <summary>Takes note of a VMCORE packet; <paramref name="inFirstBurst"/> as far as seqnos tell.</summary>
    public void OnPacket(ulong offset, ReadOnlySpan<byte> payload, bool inFirstBurst)
    {
        if (_over)
            return;
        if (offset == 0 || !inFirstBurst)
        {
            _over = true;
            if (offset == 0)
                _bytes = null;
            return;
        }

        if (_bytes is null)
        {
            _bytes = new byte[WellKnown.BurstBytes];
            // Packets may be out of order: what comes before this one finds room below it.
            _start = offset - Math.Min(offset, WellKnown.BurstBytes / 2);
            _end = _start + WellKnown.BurstBytes;
        }

        if (offset < _start || offset + (ulong)payload.Length > _end)
        {
            _over = true;
            return;
        }

        payload.CopyTo(_bytes.AsSpan((int)(offset - _start)));
        _kept.Add(offset, offset + (ulong)payload.Length);
    }

    /// <summary>The burst's bytes, when they came in one piece at an offset other than 0.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes is null || _kept.Count != 1
        ? []
        : _bytes.AsSpan((int)(_kept.Ranges[0].Start - _start), (int)_kept.CoveredBytes);
}
