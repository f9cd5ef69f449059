using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class DumpBoardTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly TempDirectory _temp = new();
    private int _readings;

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Many_who_look_cost_one_reading_a_second()
    {
        var board = new DumpBoard(Read, _clock);
        for (int look = 0; look < 10; look++)
            Assert.Null((await board.LookAsync()).Problem);

        Assert.Equal(1, _readings);
        _clock.Now += TimeSpan.FromSeconds(1);
        await board.LookAsync();
        Assert.Equal(2, _readings);
    }

    [Fact]
    public async Task What_takes_long_to_read_is_read_less_often_unless_it_is_urgent()
    {
        var board = new DumpBoard(
            () =>
            {
                _clock.Now += TimeSpan.FromSeconds(0.5);
                return Read();
            },
            _clock);
        await board.LookAsync();
        _clock.Now += TimeSpan.FromSeconds(9.9);
        await board.LookAsync();
        Assert.Equal(1, _readings);

        await board.LookAsync(isUrgent: true);
        Assert.Equal(2, _readings);
        _clock.Now += TimeSpan.FromSeconds(10);
        await board.LookAsync();
        Assert.Equal(3, _readings);
    }

    [Fact]
    public async Task A_directory_that_cannot_be_read_leaves_what_was_there()
    {
        bool isBroken = false;
        var board = new DumpBoard(() => isBroken ? throw new StorageException("dump directory /x cannot be read") : Read(), _clock);
        var first = await board.LookAsync();
        isBroken = true;
        _clock.Now += TimeSpan.FromSeconds(1);

        var broken = await board.LookAsync();

        Assert.Equal("dump directory /x cannot be read", broken.Problem);
        Assert.Same(first.Catalog, broken.Catalog);
        isBroken = false;
        _clock.Now += TimeSpan.FromSeconds(1);
        Assert.Null((await board.LookAsync()).Problem);
    }

    [Fact]
    public async Task A_directory_that_hangs_is_told_of_and_holds_up_nobody_twice()
    {
        var hanging = new TaskCompletionSource<DumpCatalog>();
        var board = new DumpBoard(
            () =>
            {
                _readings++;
                return hanging.Task;
            },
            _clock);
        Assert.Equal("The dump directory does not answer.", (await board.LookAsync()).Problem);
        _clock.Now += TimeSpan.FromSeconds(2);

        var second = board.LookAsync();

        Assert.True(second.IsCompleted);
        Assert.Equal("The dump directory does not answer.", (await second).Problem);
        Assert.Equal(1, _readings);
        hanging.SetResult(await Read());
        _clock.Now += TimeSpan.FromSeconds(2);
        while ((await board.LookAsync()).Problem is not null)
            await Task.Yield();
    }

    private Task<DumpCatalog> Read()
    {
        Interlocked.Increment(ref _readings);
        return Task.FromResult(DumpCatalog.Read(_temp.Path));
    }
}
