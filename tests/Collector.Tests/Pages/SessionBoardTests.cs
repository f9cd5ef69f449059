using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Pages;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class SessionBoardTests
{
    private static readonly SessionRow s_row = new("10.0.0.1", "web1", "receiving", DateTime.UnixEpoch, 0.25, 4096, null, 8192, 3, 0, 20100, "id", "/file", "EIO");

    private readonly ManualClock _clock = new();
    private int _looks;

    [Fact]
    public async Task Many_who_look_cost_one_look_a_second()
    {
        var board = new SessionBoard(LookAsync, _clock);
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => board.LookAsync()));
        Assert.Equal(1, _looks);

        _clock.Now += TimeSpan.FromSeconds(1);
        var session = Assert.Single((await board.LookAsync()).Sessions);

        Assert.Equal(2, _looks);
        Assert.Equal(("10.0.0.1", "web1", "receiving", 0.25, 4096ul, null, 8192ul, "EIO"),
            (session.Client, session.Host, session.Phase, session.SilentSeconds, session.Bytes, session.TotalBytes, session.ExpectedBytes, session.Error));
        Assert.Equal(50, session.Percent);
    }

    [Fact]
    public async Task While_a_look_takes_long_nobody_begins_another()
    {
        var late = new TaskCompletionSource<IEnumerable<SessionRow>>();
        var board = new SessionBoard(
            () =>
            {
                _looks++;
                return late.Task;
            },
            _clock);
        var first = board.LookAsync();
        _clock.Now += TimeSpan.FromSeconds(10);
        var second = board.LookAsync();
        late.SetResult([s_row]);

        Assert.Same(await first, await second);
        Assert.Equal(1, _looks);
    }

    private Task<IEnumerable<SessionRow>> LookAsync()
    {
        _looks++;
        return Task.FromResult<IEnumerable<SessionRow>>([s_row]);
    }
}
