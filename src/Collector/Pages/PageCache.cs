namespace NetdumpCollector.Collector.Pages;

/// <summary>Pages that were rendered within the last second: many who look at the same page cost as much as one.</summary>
internal sealed class PageCache(TimeProvider time)
{
    private const int MaxPages = 64;

    private static readonly TimeSpan s_freshness = TimeSpan.FromMilliseconds(900);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, (Task<RenderedPage> Page, long BegunAt)> _pages = [];

    /// <summary>The page of an address; it is rendered where nobody has asked for it lately.</summary>
    public Task<RenderedPage> GetAsync(string address, Func<Task<RenderedPage>> render)
    {
        lock (_gate)
        {
            if (_pages.TryGetValue(address, out var known) && IsOfUse(known))
                return known.Page;
            RemoveUseless();
            var page = Task.Run(render);
            if (_pages.Count < MaxPages)
                _pages[address] = (page, time.GetTimestamp());
            return page;
        }
    }

    private bool IsOfUse((Task<RenderedPage> Page, long BegunAt) entry) =>
        !entry.Page.IsCompleted || (entry.Page.IsCompletedSuccessfully && time.GetElapsedTime(entry.BegunAt) < s_freshness);

    private void RemoveUseless()
    {
        foreach (var (address, entry) in _pages)
        {
            if (!IsOfUse(entry))
                _pages.Remove(address);
        }
    }
}
