using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>Counts which part of a dump gave how much of it.</summary>
internal sealed class SegmentTally
{
    private readonly List<ManifestSegment> _segments;
    private int _current;

    /// <param name="manifest">The dump that is made whole; what it says of an earlier attempt counts on.</param>
    /// <param name="node">Its node.</param>
    /// <param name="held">What it has.</param>
    public SegmentTally(Manifest manifest, string node, Coverage held)
    {
        _segments = [.. manifest.Segments ?? [new(DumpContinuation.EpochOf(manifest.Continues), node, held.CoveredBytes, held.Count) { Id = manifest.Id }]];
    }

    /// <summary>In the order of their owners.</summary>
    public IReadOnlyList<ManifestSegment> All => [.. _segments.OrderBy(segment => segment.Epoch).ThenBy(segment => segment.Id, StringComparer.Ordinal)];

    /// <summary>A range of this part is next.</summary>
    public void Begin(IDumpPart part)
    {
        _current = _segments.FindIndex(segment => segment.Id == part.Manifest.Id);
        if (_current < 0)
        {
            _current = _segments.Count;
            _segments.Add(new(DumpContinuation.EpochOf(part.Manifest.Continues), part.Node, 0, 0) { Id = part.Manifest.Id });
        }

        _segments[_current] = _segments[_current] with { Ranges = _segments[_current].Ranges + 1 };
    }

    public void Add(ulong bytes) => _segments[_current] = _segments[_current] with { Bytes = _segments[_current].Bytes + bytes };
}
