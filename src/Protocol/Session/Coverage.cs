namespace NetdumpCollector.Protocol.Session;

/// <summary>Which bytes of a dump are stored, exactly, as sorted ranges that neither touch nor overlap.</summary>
/// <remarks>
/// A dump arrives almost in order, so the range that grew last is tried first. Callers bound <see cref="Count"/>, because a hostile client
/// may send every second byte.
/// </remarks>
public sealed class Coverage
{
    private ByteRange[] _ranges = new ByteRange[4];
    private int _last;

    /// <summary>Number of separate ranges.</summary>
    public int Count { get; private set; }

    /// <summary>Distinct bytes stored.</summary>
    public ulong CoveredBytes { get; private set; }

    /// <summary>End of the last stored byte, 0 when nothing is stored.</summary>
    public ulong End => Count == 0 ? 0 : _ranges[Count - 1].End;

    /// <summary>Nothing is missing from byte 0 to <see cref="End"/>.</summary>
    public bool IsContiguous => Count == 1 && _ranges[0].Start == 0;

    /// <summary>Marks <c>[start, end)</c> as stored.</summary>
    public void Add(ulong start, ulong end)
    {
        if (start >= end)
            return;

        if (_last < Count && _ranges[_last].End == start && (_last + 1 == Count || _ranges[_last + 1].Start > end))
        {
            _ranges[_last] = new(_ranges[_last].Start, end);
            CoveredBytes += end - start;
            return;
        }

        int from = FirstEndingAtOrAfter(start);
        int to = from;
        while (to < Count && _ranges[to].Start <= end)
        {
            CoveredBytes -= _ranges[to].Length;
            start = Math.Min(start, _ranges[to].Start);
            end = Math.Max(end, _ranges[to].End);
            to++;
        }

        Replace(from, to, new(start, end));
        CoveredBytes += end - start;
        _last = from;
    }

    /// <summary>Every byte of <c>[start, end)</c> is stored.</summary>
    public bool Contains(ulong start, ulong end)
    {
        if (start >= end)
            return true;

        int i = FirstEndingAtOrAfter(start + 1);
        return i < Count && _ranges[i].Start <= start && end <= _ranges[i].End;
    }

    /// <summary>Some byte of <c>[start, end)</c> is stored.</summary>
    public bool Intersects(ulong start, ulong end)
    {
        if (start >= end)
            return false;

        int i = FirstEndingAtOrAfter(start + 1);
        return i < Count && _ranges[i].Start < end;
    }

    /// <summary>The stored ranges in order.</summary>
    public ReadOnlySpan<ByteRange> Ranges => _ranges.AsSpan(0, Count);

    /// <summary>The holes of <c>[0, length)</c> in order.</summary>
    public IEnumerable<ByteRange> Missing(ulong length)
    {
        ulong at = 0;
        for (int i = 0; i < Count && _ranges[i].Start < length; i++)
        {
            if (_ranges[i].Start > at)
                yield return new(at, _ranges[i].Start);
            at = _ranges[i].End;
        }

        if (at < length)
            yield return new(at, length);
    }

    private int FirstEndingAtOrAfter(ulong position)
    {
        int low = 0, high = Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End < position)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private void Replace(int from, int to, ByteRange with)
    {
        int removed = to - from;
        if (removed == 0)
        {
            if (Count == _ranges.Length)
                Array.Resize(ref _ranges, Count * 2);
            Array.Copy(_ranges, from, _ranges, from + 1, Count - from);
        }
        else if (removed > 1)
        {
            Array.Copy(_ranges, to, _ranges, from + 1, Count - to);
        }

        _ranges[from] = with;
        Count += 1 - removed;
    }
}
