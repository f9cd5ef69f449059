using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Tests.Http;

public sealed class LiveStateTests : IDisposable
{
    private readonly ManualTimeProvider _time = new();
    private readonly ThreadDispatcher _threads = new("loop", 2);
    private readonly Loop _quick = new(1);
    private readonly Loop _late = new(100);
    private readonly LiveState _live;

    public LiveStateTests()
    {
        var system = new ActorSystem("test");
        _live = new([.. new[] { _quick, _late }.Select((loop, number) => system.Spawn<IngressActor.Message>($"ingress-{number}", _threads, () => loop))], _time);
    }

    public void Dispose() => _threads.Dispose();

    [Fact]
    public void It_looks_again_only_after_a_quarter_of_a_second()
    {
        Assert.Equal([1, 100], Look());
        Assert.Equal([1, 100], Look());
        _time.Advance(TimeSpan.FromMilliseconds(249));
        Assert.Equal([1, 100], Look());
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal([2, 101], Look());
    }

    [Fact]
    public async Task A_loop_that_is_late_holds_one_thread_and_is_shown_as_it_was_last()
    {
        Look();
        _time.Advance(TimeSpan.FromSeconds(1));
        _late.IsSilent = true;
        var waiting = Task.Factory.StartNew(Look, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Eventually.Holds(() => _late.Asked == 2, "the loop is asked");

        // These do not wait: time stands still.
        for (int i = 0; i < 100; i++)
            Assert.Equal([1, 100], Look());
        var asynchronous = _live.SessionsAsync();
        Assert.False(waiting.IsCompleted);
        Assert.False(asynchronous.IsCompleted);
        Assert.Equal(2, _late.Asked);

        await Eventually.Holds(() => _time.ArmedTimers == 1, "the other loop has answered");
        _time.Advance(TimeSpan.FromMilliseconds(250));
        long[] seen = await waiting.WaitAsync(Eventually.Deadline);
        Assert.Equal([2, 100], seen);
        Assert.Empty(await asynchronous.WaitAsync(Eventually.Deadline));
        Assert.Equal([2, 100], Look());

        _late.IsSilent = false;
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal([3, 102], Look());
    }

    private long[] Look() => [.. _live.Look().Select(loop => loop.HeraldDrops)];

    /// <summary>Answers each look with another number, or not at all.</summary>
    private sealed class Loop(int first) : Actor<IngressActor.Message>
    {
        private int _asked;

        public int Asked => Volatile.Read(ref _asked);

        public bool IsSilent { get; set; }

        protected override void Receive(IngressActor.Message message)
        {
            int number = first + _asked;
            Interlocked.Increment(ref _asked);
            if (!IsSilent)
                ((IngressActor.Look)message).Status.Send(new([], number, 0));
        }
    }
}
