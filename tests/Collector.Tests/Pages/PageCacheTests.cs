using NetdumpCollector.Collector.Pages;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class PageCacheTests
{
    private readonly ManualClock _clock = new();
    private int _rendered;

    [Fact]
    public async Task Many_who_look_at_a_page_within_a_second_get_the_same_one()
    {
        var cache = new PageCache(_clock);
        var first = await cache.GetAsync("/", RenderAsync);

        Assert.Same(first, await cache.GetAsync("/", RenderAsync));
        Assert.NotSame(first, await cache.GetAsync("/dumps", RenderAsync));
        _clock.Now += TimeSpan.FromSeconds(1);
        Assert.NotSame(first, await cache.GetAsync("/", RenderAsync));
        Assert.Equal(3, _rendered);
    }

    [Fact]
    public async Task A_page_that_failed_is_rendered_again()
    {
        var cache = new PageCache(_clock);
        await Assert.ThrowsAsync<InvalidOperationException>(() => cache.GetAsync("/", () => throw new InvalidOperationException()));

        await cache.GetAsync("/", RenderAsync);

        Assert.Equal(1, _rendered);
    }

    [Fact]
    public async Task Addresses_without_end_do_not_fill_the_memory()
    {
        var cache = new PageCache(_clock);
        for (int number = 0; number < 1000; number++)
            await cache.GetAsync($"/{number}", RenderAsync);
        Assert.Equal(1000, _rendered);

        await cache.GetAsync("/0", RenderAsync);
        await cache.GetAsync("/999", RenderAsync);
        Assert.Equal(1001, _rendered);
    }

    private Task<RenderedPage> RenderAsync()
    {
        Interlocked.Increment(ref _rendered);
        return Task.FromResult(new RenderedPage(200, []));
    }
}
