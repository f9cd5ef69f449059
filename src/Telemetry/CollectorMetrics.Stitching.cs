namespace NetdumpCollector.Telemetry;

public sealed partial class CollectorMetrics
{
    private long _stitched;
    private long _awaitsParts;
    private long _partBytes;

    /// <summary>Dumps that were made whole by parts of other nodes.</summary>
    public long Stitched => Interlocked.Read(ref _stitched);

    /// <summary>Dumps that wait for parts of other nodes.</summary>
    public long AwaitingParts => Interlocked.Read(ref _awaitsParts);

    /// <summary>Makes instruments of stitching; where no parts are stitched there are none.</summary>
    public void ObserveStitching()
    {
        _ = Count("netdump.sessions.continued", "{session}", "Sessions of another node that went on here as dumps of their own, because nodes share no directory.", () => SessionsContinued);
        _ = Count("netdump.stitch.dumps", "{dump}", "Dumps that were made whole by the parts of other nodes.", () => Stitched);
        _ = Count("netdump.stitch.fetched", "By", "Bytes that were fetched from the parts of other nodes.", () => Interlocked.Read(ref _partBytes));
        _ = Gauge("netdump.stitch.awaiting.dumps", "{dump}", "Dumps that wait for parts of other nodes.", () => [new(AwaitingParts)]);
    }

    /// <summary>Counts a dump that was made whole.</summary>
    public void DumpStitched() => Interlocked.Increment(ref _stitched);

    /// <summary>Counts bytes of another node's part.</summary>
    public void PartFetched(long bytes) => Interlocked.Add(ref _partBytes, bytes);

    /// <summary>So many dumps wait for parts of other nodes.</summary>
    public void AwaitsParts(long dumps) => Interlocked.Exchange(ref _awaitsParts, dumps);
}
