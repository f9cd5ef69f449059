using System.Globalization;
using System.Threading.Channels;

namespace NetdumpCollector.Telemetry.Events;

/// <summary>Passes events on to those who listen. Whoever publishes never waits: a listener that does not keep up misses events, which are counted.</summary>
public sealed class EventFeed(TimeProvider time)
{
    /// <summary>So many dumps that start within <see cref="StormSeconds"/> are a storm.</summary>
    public const int StormDumps = 10;

    /// <summary>See <see cref="StormDumps"/>; while a storm lasts it is told of once in five times as long.</summary>
    public const int StormSeconds = 60;

    private readonly Lock _gate = new();
    private readonly List<EventSubscription> _subscriptions = [];
    private readonly Queue<long> _starts = new();
    private long? _stormTold;
    private readonly string _run = Guid.NewGuid().ToString("N", CultureInfo.InvariantCulture);
    private long _number;
    private long _missed;

    /// <summary>Events that listeners missed.</summary>
    public long Missed => Interlocked.Read(ref _missed);

    /// <summary>Begins to listen; <see cref="EventSubscription.Dispose"/> ends it.</summary>
    /// <param name="capacity">Events that may wait for the listener.</param>
    /// <param name="ofFleet">Those of other nodes too, which are told of there as well.</param>
    public EventSubscription Subscribe(int capacity, bool ofFleet = false)
    {
        var subscription = new EventSubscription(this, capacity, ofFleet);
        lock (_gate)
            _subscriptions.Add(subscription);
        return subscription;
    }

    public void Publish(CollectorEvent what)
    {
        lock (_gate)
        {
            Pass(what);
            if (what is DumpStarted && SeesStorm())
                Pass(new StormDetected(what.At, _starts.Count, StormSeconds));
        }
    }

    internal void Forget(EventSubscription subscription)
    {
        lock (_gate)
            _subscriptions.Remove(subscription);
    }

    private void Pass(CollectorEvent what)
    {
        what.Timestamp = time.GetTimestamp();
        what.Id = string.Create(CultureInfo.InvariantCulture, $"{_run}-{_number++}");
        foreach (var subscription in _subscriptions)
        {
            if ((subscription.OfFleet || what is not ElsewhereHappened) && !subscription.TryPass(what))
                Interlocked.Increment(ref _missed);
        }
    }

    private bool SeesStorm()
    {
        long now = time.GetTimestamp();
        _starts.Enqueue(now);
        while (time.GetElapsedTime(_starts.Peek(), now).TotalSeconds > StormSeconds)
            _starts.Dequeue();
        if (_starts.Count < StormDumps || (_stormTold is long told && time.GetElapsedTime(told, now).TotalSeconds < 5 * StormSeconds))
            return false;
        _stormTold = now;
        return true;
    }
}

/// <summary>One listener's events, in the order in which they happened.</summary>
public sealed class EventSubscription : IDisposable
{
    private readonly EventFeed _feed;
    private readonly Channel<CollectorEvent> _events;

    internal EventSubscription(EventFeed feed, int capacity, bool ofFleet)
    {
        _feed = feed;
        OfFleet = ofFleet;
        _events = Channel.CreateBounded<CollectorEvent>(new BoundedChannelOptions(capacity) { SingleReader = true });
    }

    /// <summary>Events of other nodes are wanted.</summary>
    internal bool OfFleet { get; }

    public ChannelReader<CollectorEvent> Events => _events.Reader;

    public void Dispose()
    {
        _feed.Forget(this);
        _events.Writer.TryComplete();
    }

    internal bool TryPass(CollectorEvent what) => _events.Writer.TryWrite(what);
}
