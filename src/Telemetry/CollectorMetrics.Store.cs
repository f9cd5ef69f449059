using System.Diagnostics.Metrics;

namespace NetdumpCollector.Telemetry;

/// <summary>What is looked up of the object store when somebody reads.</summary>
public interface IStoreReadings
{
    /// <summary>Dumps that are to be uploaded, and those that are being.</summary>
    long PendingDumps { get; }

    /// <summary>Bytes of their files.</summary>
    long PendingBytes { get; }

    /// <summary>How long ago the oldest of them ended, in seconds; 0 where there is none.</summary>
    double OldestPendingSeconds { get; }

    /// <summary>The store did what it was last asked; null before it was.</summary>
    bool? IsUp { get; }
}

public sealed partial class CollectorMetrics
{
    private long _storeUploaded;
    private long _storeSentBytes;
    private long _storeSentParts;
    private long _storeReusedParts;
    private long _storeFailures;
    private long _storeRefused;
    private long _storeLastSuccess;

    /// <summary>Dumps that were uploaded, or found in the store.</summary>
    public long StoreUploaded => Interlocked.Read(ref _storeUploaded);

    /// <summary>Makes instruments of the object store; without one there are none.</summary>
    public void ObserveStore(IStoreReadings store)
    {
        _ = Gauge("netdump.store.pending.dumps", "{dump}", "Ended dumps that are not in the object store yet.", () => [new(store.PendingDumps)]);
        _ = Gauge("netdump.store.pending", "By", "Bytes of ended dumps that are not in the object store yet.", () => [new(store.PendingBytes)]);
        _ = Meter.CreateObservableGauge("netdump.store.pending.age", () => store.OldestPendingSeconds, "s", "How long ago the oldest of them ended.");
        _ = Gauge("netdump.store.up", "{store}", "1 when the object store did what it was last asked, 0 when not.", () => Known(store.IsUp is bool up ? up ? 1L : 0 : (long?)null));
        _ = Count("netdump.store.uploaded.dumps", "{dump}", "Dumps that were brought to the object store, or were there already.", () => StoreUploaded);
        _ = Count("netdump.store.uploaded", "By", "Bytes of parts that arrived in the object store.", () => Interlocked.Read(ref _storeSentBytes));
        _ = Count("netdump.store.uploaded.parts", "{part}", "Parts that arrived in the object store.", () => Interlocked.Read(ref _storeSentParts));
        _ = Count("netdump.store.reused.parts", "{part}", "Parts that had arrived before an upload was continued, and were not sent again.", () => Interlocked.Read(ref _storeReusedParts));
        _ = Count("netdump.store.failures", "{failure}", "Calls that the object store did not answer as it should, and was asked again.", () => Interlocked.Read(ref _storeFailures));
        _ = Count("netdump.store.refused.dumps", "{dump}", "Attempts to upload a dump that failed for the dump's own sake: its files are not as its manifest says, or the store has another of its id.", () => Interlocked.Read(ref _storeRefused));
        _ = Meter.CreateObservableGauge("netdump.store.last.success.time", () => Known(Interlocked.Read(ref _storeLastSuccess) is > 0 and var at ? at : (long?)null), "s", "When a dump was last brought to the object store, since 1970.");
    }

    /// <summary>Counts a part that arrived in the object store.</summary>
    public void StorePartSent(long bytes)
    {
        Interlocked.Add(ref _storeSentBytes, bytes);
        Interlocked.Increment(ref _storeSentParts);
    }

    /// <summary>Counts a part that had arrived before.</summary>
    public void StorePartReused() => Interlocked.Increment(ref _storeReusedParts);

    /// <summary>Counts a call that the store did not do.</summary>
    public void StoreFailed() => Interlocked.Increment(ref _storeFailures);

    /// <summary>Counts an attempt that failed for the dump's own sake.</summary>
    public void StoreRefused() => Interlocked.Increment(ref _storeRefused);

    /// <summary>Counts a dump that is in the store.</summary>
    public void StoreHasDump(DateTimeOffset now)
    {
        Interlocked.Increment(ref _storeUploaded);
        Interlocked.Exchange(ref _storeLastSuccess, now.ToUnixTimeSeconds());
    }
}
