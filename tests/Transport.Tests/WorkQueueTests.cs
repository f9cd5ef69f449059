namespace NetdumpCollector.Transport.Tests;

public sealed class WorkQueueTests
{
    private int _wakeUps;

    [Fact]
    public void The_loop_is_woken_once_per_round()
    {
        WorkQueue queue = NewQueue();
        queue.Post(new Work());
        queue.Post(new Work());
        Assert.Equal(1, _wakeUps);

        queue.BeginRound();
        queue.Post(new Work());
        Assert.Equal(2, _wakeUps);
    }

    [Fact]
    public void What_is_posted_during_a_round_waits_for_the_next()
    {
        WorkQueue queue = NewQueue();
        Work[] work = [new(), new(), new()];
        queue.Post(work[0]);
        queue.Post(work[1]);

        queue.BeginRound();
        queue.Post(work[2]);
        Assert.Equal(work[..2], TakeAll(queue));
        Assert.True(queue.HasWork);

        queue.BeginRound();
        Assert.Equal(work[2..], TakeAll(queue));
        Assert.False(queue.HasWork);
    }

    [Fact]
    public void A_round_that_was_cut_short_goes_on_before_newer_work()
    {
        WorkQueue queue = NewQueue();
        Work[] work = [new(), new(), new()];
        queue.Post(work[0]);
        queue.Post(work[1]);
        queue.BeginRound();
        Assert.True(queue.TryTake(out _));
        queue.Post(work[2]);

        queue.BeginRound();
        Assert.Equal(work[1..2], TakeAll(queue));
        queue.BeginRound();
        Assert.Equal(work[2..], TakeAll(queue));
    }

    [Fact]
    public void A_closed_queue_takes_nothing_more_and_wakes_nobody()
    {
        WorkQueue queue = NewQueue();
        Work before = new();
        queue.Post(before);
        queue.Close();

        Assert.False(queue.Post(new Work()));
        queue.Wake();

        Assert.Equal(1, _wakeUps);
        queue.BeginRound();
        Assert.Equal([before], TakeAll(queue));
    }

    private WorkQueue NewQueue() => new(() => _wakeUps++);

    private static List<ILoopWork> TakeAll(WorkQueue queue)
    {
        List<ILoopWork> taken = [];
        while (queue.TryTake(out ILoopWork? work))
            taken.Add(work);
        return taken;
    }

    private sealed class Work : ILoopWork
    {
        public void Run()
        {
        }
    }
}
