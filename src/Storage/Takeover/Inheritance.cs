using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage;

/// <summary>What a new owner of a shared dump has from those before: everything that they acked, and where it lies.</summary>
/// <param name="Saved">What the session was at, without its first burst.</param>
/// <param name="Stored">All bytes that are stored.</param>
/// <param name="Segments">Where they lie, in the order of owners; no two have a byte in common.</param>
/// <param name="Records">Header, key and notes as they were written down.</param>
/// <remarks>That an owner's fsync failed (<see cref="LedgerRecord.SyncFailed"/>) takes nothing from those behind it: it noted only what an earlier one had put on the device, and acked nothing afterwards.</remarks>
internal sealed record Inheritance(SavedSession Saved, Coverage Stored, IReadOnlyList<Segment> Segments, IReadOnlyList<LedgerRecord> Records)
{
    /// <summary>The ledger says everything that its owner has from those before. Of another one nothing was ever acked, because that comes first.</summary>
    public static bool IsWhole(LedgerContents contents, int epoch) => epoch == 1 || contents.Records.Any(record => record is LedgerRecord.Continued);

    /// <summary>Works out what the ledger of the newest owner says that has a whole one.</summary>
    public static Inheritance Of(LedgerContents contents, int epoch, DumpEndpoint endpoint)
    {
        byte[]? state = contents.State;
        if (state is null && contents.Records.OfType<LedgerRecord.Continued>().LastOrDefault() is { State.Length: > 0 } continued && DumpSession.IsState(continued.State.Span))
            state = continued.State.ToArray();

        // Without a state nothing was acked.
        var stored = new Coverage();
        if (state is not null)
        {
            stored.Add(0, DumpSession.ContiguousBytesOf(state));
            foreach (var range in RangesOf(contents, LedgerRecordType.Stored))
                stored.Add(range.Start, range.End);
        }

        var headers = contents.Records.OfType<LedgerRecord.Kdh>().Select(record => KernelDumpHeader.Read(record.Header.Span)).OfType<KernelDumpHeader>().ToList();
        return new(
            new()
            {
                HeraldSeqno = endpoint.HeraldSeqno,
                State = state,
                Ranges = stored.Ranges.ToArray(),
                Damaged = RangesOf(contents, LedgerRecordType.Damaged),
                Overwritten = RangesOf(contents, LedgerRecordType.Overwritten),
                Header = headers.Find(found => found.IsValid) ?? headers.LastOrDefault(),
                KeyPieces = [.. contents.Records.OfType<LedgerRecord.Key>().Select(key => (key.Offset, key.Bytes))],
            },
            stored,
            state is null ? [] : SegmentsOf(contents, epoch, stored),
            [.. contents.Records.Where(record => record is LedgerRecord.Kdh or LedgerRecord.Key or LedgerRecord.Ranges { What: LedgerRecordType.Damaged or LedgerRecordType.Overwritten })]);
    }

    /// <summary>The segments before the ledger's, without what its owner has rewritten, and its own: what is stored and was not there before.</summary>
    private static List<Segment> SegmentsOf(LedgerContents contents, int epoch, Coverage stored)
    {
        var earlier = contents.Records.OfType<LedgerRecord.Segment>().GroupBy(segment => (segment.Epoch, segment.Node))
            .Select(group => (group.Key.Epoch, group.Key.Node, Ranges: RangeList.ToCoverage(group.SelectMany(segment => segment.Values))))
            .OrderBy(segment => segment.Epoch).ToList();
        var before = RangeList.ToCoverage(earlier.SelectMany(segment => segment.Ranges.Ranges.ToArray()));
        var own = RangeList.ToCoverage(RangeList.Except(stored.Ranges, before.Ranges));
        foreach (var range in RangesOf(contents, LedgerRecordType.Rewritten))
            own.Add(range.Start, range.End);

        var segments = new List<Segment>();
        foreach (var (itsEpoch, node, ranges) in earlier)
            segments.Add(new(itsEpoch, node, RangeList.Except(ranges.Ranges, own.Ranges)));
        segments.Add(new(epoch, contents.Records.OfType<LedgerRecord.Owner>().FirstOrDefault()?.Node ?? "", own.Ranges.ToArray()));
        segments.RemoveAll(segment => segment.Ranges.Count == 0);
        return segments;
    }

    private static List<ByteRange> RangesOf(LedgerContents contents, LedgerRecordType what) =>
        [.. contents.Records.OfType<LedgerRecord.Ranges>().Where(record => record.What == what).SelectMany(record => record.Values)];
}
