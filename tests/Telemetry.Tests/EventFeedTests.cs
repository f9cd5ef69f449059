using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Telemetry.Tests;

public sealed class EventFeedTests
{
    private readonly ManualClock _clock = new();
    private readonly EventFeed _feed;

    public EventFeedTests() => _feed = new(_clock);

    [Fact]
    public void Every_listener_gets_events_in_order_from_when_it_began()
    {
        _feed.Publish(Start(0));
        using var first = _feed.Subscribe(10);
        _feed.Publish(Start(1));
        using var second = _feed.Subscribe(10);
        _feed.Publish(Start(2));

        Assert.Equal(["1", "2"], Ids(first));
        Assert.Equal(["2"], Ids(second));
    }

    [Fact]
    public void A_listener_that_does_not_keep_up_misses_events_and_others_do_not()
    {
        using var slow = _feed.Subscribe(2);
        using var quick = _feed.Subscribe(10);
        for (int i = 0; i < 5; i++)
            _feed.Publish(Start(i));

        Assert.Equal(["0", "1"], Ids(slow));
        Assert.Equal(["0", "1", "2", "3", "4"], Ids(quick));
        Assert.Equal(3, _feed.Missed);
    }

    [Fact]
    public void Who_has_ended_gets_nothing_and_misses_nothing()
    {
        var subscription = _feed.Subscribe(1);
        subscription.Dispose();
        _feed.Publish(Start(1));
        _feed.Publish(Start(2));

        Assert.Empty(Ids(subscription));
        Assert.Equal(0, _feed.Missed);
    }

    [Fact]
    public void A_storm_is_told_of_once_while_it_lasts_and_again_much_later()
    {
        using var listener = _feed.Subscribe(10_000);
        for (int second = 0; second < 6 * EventFeed.StormSeconds; second++)
        {
            _feed.Publish(Start(second));
            _clock.Now += TimeSpan.FromSeconds(1);
        }

        Assert.Equal(2, Storms(listener).Count);
    }

    [Fact]
    public void Dumps_that_come_slowly_are_no_storm()
    {
        using var listener = _feed.Subscribe(1000);
        for (int i = 0; i < 100; i++)
        {
            _feed.Publish(Start(i));
            _clock.Now += TimeSpan.FromSeconds((EventFeed.StormSeconds / (EventFeed.StormDumps - 1)) + 1);
        }

        Assert.Empty(Storms(listener));
    }

    private static DumpStarted Start(int id) => new(DateTimeOffset.UnixEpoch, $"{id}", new(0x7f000001), "host");

    private static IEnumerable<CollectorEvent> All(EventSubscription subscription)
    {
        while (subscription.Events.TryRead(out var what))
            yield return what;
    }

    private static string[] Ids(EventSubscription subscription) => [.. All(subscription).OfType<DumpStarted>().Select(start => start.DumpId)];

    private static List<StormDetected> Storms(EventSubscription subscription) => [.. All(subscription).OfType<StormDetected>()];

    [Fact]
    public void What_happens_at_other_nodes_is_for_those_who_want_it()
    {
        var feed = new EventFeed(TimeProvider.System);
        using var own = feed.Subscribe(1);
        using var all = feed.Subscribe(1, ofFleet: true);

        feed.Publish(new ElsewhereHappened(DateTimeOffset.UnixEpoch, "dump.completed", "{}"));

        Assert.False(own.Events.TryRead(out _));
        Assert.True(all.Events.TryRead(out var what));
        Assert.Equal("dump.completed", what.Type);
        Assert.Equal(0, feed.Missed);
    }
}
