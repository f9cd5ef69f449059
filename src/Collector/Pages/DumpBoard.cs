using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Pages;

/// <summary>The dump directory as pages show it. What was read is shown on while reading it anew takes long, or fails.</summary>
/// <remarks>A directory of ten thousand dumps takes a second to read: pages that are open all night must not keep a processor busy with it.</remarks>
internal sealed class DumpBoard(Func<Task<DumpCatalog>> read, TimeProvider time, FleetView? fleet = null)
{
    /// <summary>Reading may take one part in so many of the time.</summary>
    private const int RestPerReading = 20;

    /// <summary>Of the other nodes' dumps the newest are shown; the API has all of them.</summary>
    private const int MaxElsewhere = 2000;

    private static readonly TimeSpan s_leastRest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private DumpsView _last = DumpsView.Nothing;
    private Task<DumpsView>? _reading;
    private long _begunAt;
    private long _endedAt;

    /// <summary>What is there, as it was lately.</summary>
    /// <param name="isUrgent">It must be what is there now.</param>
    public async Task<DumpsView> LookAsync(bool isUrgent = false)
    {
        Task<DumpsView> reading;
        lock (_gate)
        {
            if (_reading is null || (_reading.IsCompleted && (isUrgent || IsDue())))
            {
                _begunAt = time.GetTimestamp();
                _reading = Task.Run(ReadAsync);
            }

            reading = _reading;
        }

        // Who comes while it hangs does not wait as long as those before: it has had that time already.
        var left = s_patience - time.GetElapsedTime(Volatile.Read(ref _begunAt));
        if (!reading.IsCompleted && left > TimeSpan.Zero)
            await Task.WhenAny(reading, Task.Delay(left, time)).ConfigureAwait(false);
        return reading.IsCompleted ? await reading.ConfigureAwait(false) : Last with { Problem = "The dump directory does not answer." };
    }

    private DumpsView Last
    {
        get
        {
            lock (_gate)
                return _last;
        }
    }

    private bool IsDue()
    {
        var rest = time.GetElapsedTime(_begunAt, _endedAt) * RestPerReading;
        return time.GetElapsedTime(_endedAt) >= (rest > s_leastRest ? rest : s_leastRest);
    }

    /// <summary>The newest dumps of other nodes.</summary>
    private async Task<IEnumerable<DumpView>> ElsewhereAsync(DumpCatalog catalog)
    {
        if (fleet is null)
            return [];
        var here = catalog.Partials.Select(partial => partial.Opened?.Identity.Id).ToHashSet();
        var ended = await fleet.DumpsAsync(new() { IsDescending = true, Limit = MaxElsewhere }, CancellationToken.None).ConfigureAwait(false);
        return [.. fleet.Unended.Where(row => !here.Contains(row.Id)).Select(DumpView.Of), .. ended?.Rows.Select(DumpView.Of) ?? []];
    }

    private async Task<DumpsView> ReadAsync()
    {
        DumpsView view;
        try
        {
            var catalog = await read().ConfigureAwait(false);
            view = DumpsView.Of(catalog, [.. DumpList.Of(catalog, fleet?.Node).Rows.Select(DumpView.Of), .. await ElsewhereAsync(catalog).ConfigureAwait(false)], time.GetUtcNow());
        }
        catch (StorageException e)
        {
            view = Last with { Problem = e.Message };
        }

        lock (_gate)
        {
            _last = view with { Problem = null };
            _endedAt = time.GetTimestamp();
        }

        return view;
    }
}
