using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http;

/// <summary>Whether dumps of hosts that panic now would be taken. Each look writes to the directory, because nothing else tells; one counts for a second, however many ask.</summary>
/// <remarks>That the sockets are bound need not be asked: before they are, nobody answers.</remarks>
internal sealed class Readiness(DumpDirectory directory, Headroom headroom, TimeProvider time)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_freshness = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private Task<string?>? _look;
    private long _begunAt;
    private volatile bool _isLeaving;

    /// <summary>The server answers no more heralds, or ends.</summary>
    public void Leave() => _isLeaving = true;

    /// <summary>What stands against it, in words; null when it is ready.</summary>
    public async Task<string?> ObstacleAsync()
    {
        if (_isLeaving)
            return "the server is shutting down";

        // A file system that hangs holds one thread, however often it is asked.
        Task<string?> look;
        lock (_gate)
        {
            if (_look is null || (_look.IsCompleted && time.GetElapsedTime(_begunAt) >= s_freshness))
                (_look, _begunAt) = (Task.Run(LookAtDirectory), time.GetTimestamp());
            look = _look;
        }

        try
        {
            return await look.WaitAsync(s_patience).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return $"dump directory {directory.Root} does not answer";
        }
    }

    private string? LookAtDirectory()
    {
        try
        {
            directory.CheckWritable();
            return headroom.Judge(directory.Root)?.Words;
        }
        catch (Exception e) when (e is StorageException or ObjectDisposedException)
        {
            return e.Message;
        }
    }
}
