using NetdumpCollector.Protocol;

namespace NetdumpCollector.Fuzz.Tests;

/// <summary>A sparse file: sorted pieces, in each of which the byte at offset p is p + <c>Shade</c> modulo 256.</summary>
internal sealed class ModelBytes
{
    private readonly List<(ulong Start, ulong End, byte Shade)> _pieces = [];

    public ulong Count => _pieces.Aggregate(0ul, (sum, piece) => sum + (piece.End - piece.Start));

    public ulong End => _pieces.Count == 0 ? 0 : _pieces[^1].End;

    public void CopyFrom(ModelBytes other)
    {
        _pieces.Clear();
        _pieces.AddRange(other._pieces);
    }

    public void Write(ulong start, ulong end, byte shade)
    {
        if (start >= end)
            return;
        int from = FirstEndingAfter(start), to = from;
        while (to < _pieces.Count && _pieces[to].Start < end)
            to++;
        var made = new List<(ulong, ulong, byte)>(3);
        if (to > from && _pieces[from].Start < start)
            made.Add((_pieces[from].Start, start, _pieces[from].Shade));
        made.Add((start, end, shade));
        if (to > from && _pieces[to - 1].End > end)
            made.Add((end, _pieces[to - 1].End, _pieces[to - 1].Shade));
        _pieces.RemoveRange(from, to - from);
        _pieces.InsertRange(from, made);
        for (int i = Math.Min(from + made.Count, _pieces.Count - 1); i > 0 && i >= from; i--)
        {
            if (_pieces[i - 1].End != _pieces[i].Start || _pieces[i - 1].Shade != _pieces[i].Shade)
                continue;
            _pieces[i - 1] = (_pieces[i - 1].Start, _pieces[i].End, _pieces[i].Shade);
            _pieces.RemoveAt(i);
        }
    }

    public bool Contains(ulong start, ulong end)
    {
        for (int i = FirstEndingAfter(start); start < end; i++)
        {
            if (i >= _pieces.Count || _pieces[i].Start > start)
                return false;
            start = _pieces[i].End;
        }

        return true;
    }

    public bool Contains(ModelBytes other) => other._pieces.TrueForAll(piece => Contains(piece.Start, piece.End));

    /// <summary>The file holds other bytes there than these, or none.</summary>
    public bool Differs(ulong start, ulong end, byte shade)
    {
        for (int i = FirstEndingAfter(start); start < end; i++)
        {
            if (i >= _pieces.Count || _pieces[i].Start > start || _pieces[i].Shade != shade)
                return true;
            start = _pieces[i].End;
        }

        return false;
    }

    public byte[] Read(ByteRange range)
    {
        byte[] bytes = new byte[range.Length];
        for (int i = FirstEndingAfter(range.Start); i < _pieces.Count && _pieces[i].Start < range.End; i++)
        {
            for (ulong at = Math.Max(range.Start, _pieces[i].Start); at < Math.Min(range.End, _pieces[i].End); at++)
                bytes[at - range.Start] = (byte)(at + _pieces[i].Shade);
        }

        return bytes;
    }

    private int FirstEndingAfter(ulong position)
    {
        int low = 0, high = _pieces.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_pieces[middle].End <= position)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
