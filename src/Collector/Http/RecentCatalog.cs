using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http;

/// <summary>The dump directory as it was a moment ago: it is read anew for who asks, but not for each of many.</summary>
/// <remarks>Reading takes as long as there are manifests; whoever asks meanwhile gets the same result.</remarks>
internal sealed class RecentCatalog(string root, TimeProvider time)
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private Task<DumpCatalog>? _reading;
    private long _readAt;

    /// <exception cref="StorageException">The directory cannot be read.</exception>
    public Task<DumpCatalog> ReadAsync()
    {
        lock (_gate)
        {
            bool isFresh = _reading is { IsCompleted: false } or { IsCompletedSuccessfully: true } && (!_reading.IsCompleted || time.GetElapsedTime(_readAt) < s_freshness);
            return isFresh ? _reading! : _reading = Task.Run(Read);
        }
    }

    /// <summary>Something has been changed: who asks from now on gets a directory that was read after it.</summary>
    public void Forget()
    {
        lock (_gate)
            _reading = null;
    }

    private DumpCatalog Read()
    {
        var catalog = DumpCatalog.Read(root);
        Volatile.Write(ref _readAt, time.GetTimestamp());
        return catalog;
    }
}
