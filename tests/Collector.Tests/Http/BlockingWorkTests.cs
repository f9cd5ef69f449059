using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Tests.Http;

public sealed class BlockingWorkTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_place_is_free_again_when_what_hangs_in_it_comes_back()
    {
        using var threads = new BlockingWork("test", 2, background: false);
        using var hang = new ManualResetEventSlim();
        var stuck = threads.TryEnter()!;
        var running = stuck.RunAsync(() => hang.Wait(s_deadline));
        stuck.Dispose();

        using (var other = threads.TryEnter())
        {
            Assert.NotNull(other);
            Assert.Equal(7, await other.RunAsync(() => 7).WaitAsync(s_deadline));
            Assert.Null(threads.TryEnter());
        }

        hang.Set();
        Assert.True(await running.WaitAsync(s_deadline));
        using var freed = new CancellationTokenSource(s_deadline);
        BlockingWork.Place? first, second;
        while ((first = threads.TryEnter()) is null || (second = threads.TryEnter()) is null)
        {
            first?.Dispose();
            freed.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        first.Dispose();
        second.Dispose();
    }

    [Fact]
    public async Task What_fails_fails_for_who_asked()
    {
        using var threads = new BlockingWork("test", 1, background: true);
        using var place = threads.TryEnter()!;

        await Assert.ThrowsAsync<IOException>(() => place.RunAsync<int>(() => throw new IOException("no")));
        Assert.Equal(1, await place.RunAsync(() => 1));
    }
}
