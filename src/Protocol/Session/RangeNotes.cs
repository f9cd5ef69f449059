using System.Runtime.InteropServices;

namespace NetdumpCollector.Protocol.Session;

/// <summary>A bounded list of ranges something happened to; neighbours are joined.</summary>
internal sealed class RangeNotes
{
    private readonly List<ByteRange> _ranges = [];
    private readonly List<ByteRange> _unsaved = [];

    public bool IsEmpty => _ranges.Count == 0;

    public IReadOnlyList<ByteRange> Ranges => _ranges;

    /// <summary>What was added since <see cref="OnSaved"/>.</summary>
    public ReadOnlySpan<ByteRange> Unsaved => CollectionsMarshal.AsSpan(_unsaved);

    public void OnSaved() => _unsaved.Clear();

    public void Add(ByteRange range)
    {
        if (_ranges.Count < DumpSummary.MaxListedRanges)
            _unsaved.Add(range);
        if (_ranges.Count > 0 && _ranges[^1].End >= range.Start && _ranges[^1].Start <= range.End)
            _ranges[^1] = new(Math.Min(_ranges[^1].Start, range.Start), Math.Max(_ranges[^1].End, range.End));
        else if (_ranges.Count < DumpSummary.MaxListedRanges)
            _ranges.Add(range);
        if (_unsaved.Count <= 2 * DumpSummary.MaxListedRanges)
            return;

        // The same places again and again, and nothing is saved meanwhile: the ranges say as much.
        _unsaved.Clear();
        _unsaved.AddRange(_ranges);
    }

    public bool Intersects(ulong start, ulong end)
    {
        foreach (var range in _ranges)
        {
            if (range.Start < end && start < range.End)
                return true;
        }

        return false;
    }
}
