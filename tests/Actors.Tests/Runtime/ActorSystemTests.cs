using NetdumpCollector.Actors.Runtime;

namespace NetdumpCollector.Actors.Tests.Runtime;

public sealed class ActorSystemTests
{
    private readonly ManualDispatcher _dispatcher = new();
    private readonly List<string> _journal = [];
    private readonly List<string> _failures = [];
    private readonly List<object> _deadLetters = [];
    private readonly ActorSystem _system;

    public ActorSystemTests() =>
        _system = new("test", (path, failure) => _failures.Add($"{path}: {failure.Message}"), (_, message) => _deadLetters.Add(message));

    [Fact]
    public void Handles_messages_one_at_a_time_in_order()
    {
        var probe = Spawn();
        for (int i = 0; i < 200; i++)
            Assert.True(probe.Tell(new Probe.Say($"{i}")));

        _dispatcher.RunAll();

        Assert.Equal(["probe starts", .. Enumerable.Range(0, 200).Select(i => $"{i}")], _journal);
    }

    [Fact]
    public void A_busy_actor_gives_others_their_turn()
    {
        var busy = Spawn("busy", new() { MailboxCapacity = 1000 });
        var other = Spawn("other");
        for (int i = 0; i < 500; i++)
            busy.Tell(new Probe.Say("busy"));
        other.Tell(new Probe.Say("other"));

        _dispatcher.RunAll();

        Assert.InRange(_journal.IndexOf("other"), 1, 200);
        Assert.Equal(500, _journal.Count(line => line == "busy"));
    }

    [Fact]
    public void Mailboxes_are_summed_by_kind_of_actor()
    {
        var parent = Spawn("one", new() { MailboxCapacity = 3 });
        Spawn("two", new() { MailboxCapacity = 10 }).Tell(new Probe.Say("waits"));
        for (int i = 0; i < 5; i++)
            parent.Tell(new Probe.Say("waits"));

        Assert.Equal([new("probe", 2, Waiting: 4, Peak: 3, Refused: 2)], _system.Mailboxes());
        _dispatcher.RunAll();
        Assert.Equal([new("probe", 2, Waiting: 0, Peak: 3, Refused: 2)], _system.Mailboxes());

        parent.Stop();
        _dispatcher.RunAll();
        // An actor that has stopped refuses for another reason.
        parent.Tell(new Probe.Say("late"));
        Assert.Equal([new("probe", 1, Waiting: 0, Peak: 3, Refused: 2)], _system.Mailboxes());
    }

    [Fact]
    public void A_loop_that_moved_on_waits_for_the_thread_inside_an_actor_and_then_gives_it_its_turn()
    {
        var probe = Spawn();
        probe.Deliver(new Probe.Act(() => _dispatcher.MoveOn(() =>
        {
            // What the loop's next thread sees while this one is stuck inside.
            Assert.False(probe.TryHandleNow(new Probe.Say("now")));
            probe.Tell(new Probe.Say("later"));
            _dispatcher.RunAll();
            Assert.Equal(["probe starts"], _journal);
        })));

        _dispatcher.ComeBack();
        Assert.Equal(["probe starts"], _journal);
        _dispatcher.RunAll();

        Assert.Equal(["probe starts", "later"], _journal);
        Assert.True(probe.TryHandleNow(new Probe.Say("now")));
    }

    [Fact]
    public void A_thread_that_its_loop_left_takes_no_further_message()
    {
        var probe = Spawn();
        probe.Tell(new Probe.Act(() => _dispatcher.MoveOn(() => { })));
        probe.Tell(new Probe.Say("next"));
        _dispatcher.RunOne();
        Assert.Equal(["probe starts"], _journal);

        _dispatcher.ComeBack();
        _dispatcher.RunAll();

        Assert.Equal(["probe starts", "next"], _journal);
    }

    [Fact]
    public void An_actor_stopped_by_a_thread_that_its_loop_left_ends_on_the_loop()
    {
        var probe = Spawn();
        probe.Tell(new Probe.Act(() => _dispatcher.MoveOn(() => { })));
        probe.Stop();
        _dispatcher.RunOne();
        _dispatcher.RunOne();
        Assert.False(probe.Stopped.IsCompleted && _dispatcher.HasMovedOn);

        _dispatcher.ComeBack();
        _dispatcher.RunAll();

        Assert.True(probe.Stopped.IsCompleted);
    }

    [Fact]
    public void A_full_mailbox_refuses_and_counts_a_dead_letter()
    {
        var probe = Spawn(options: new() { MailboxCapacity = 3 });
        for (int i = 0; i < 3; i++)
            Assert.True(probe.Tell(new Probe.Say($"{i}")));

        Assert.False(probe.Tell(new Probe.Say("too many")));

        Assert.Equal(1, _system.DeadLetters.Count);
        Assert.Equal(new Probe.Say("too many"), Assert.Single(_deadLetters));
        _dispatcher.RunAll();
        Assert.True(probe.Tell(new Probe.Say("room again")));
    }

    [Fact]
    public void Deliver_handles_at_once_on_the_own_loop_and_queues_elsewhere()
    {
        var probe = Spawn();
        probe.Deliver(new Probe.Say("now"));
        Assert.Equal(["probe starts", "now"], _journal);

        _dispatcher.IsCurrent = false;
        probe.Deliver(new Probe.Say("later"));
        Assert.DoesNotContain("later", _journal);
        Assert.False(probe.TryHandleNow(new Probe.Say("never")));
        _dispatcher.RunAll();

        Assert.Equal(["probe starts", "now", "later"], _journal);
    }

    [Fact]
    public void Deliver_keeps_the_order_of_waiting_messages()
    {
        var probe = Spawn();
        probe.Tell(new Probe.Say("first"));
        probe.Deliver(new Probe.Say("second"));
        Assert.Empty(_journal);

        _dispatcher.RunAll();

        Assert.Equal(["probe starts", "first", "second"], _journal);
    }

    [Fact]
    public void An_actor_never_interrupts_itself()
    {
        var probe = Spawn();
        probe.Deliver(new Probe.Reenter("inner"));
        _dispatcher.RunAll();
        Assert.Equal(["probe starts", "before inner", "after inner", "inner"], _journal);
    }

    [Fact]
    public void A_failing_actor_stops_alone_and_says_why()
    {
        Exception? told = null;
        var failing = Spawn("failing", new() { OnStopped = failure => told = failure });
        var other = Spawn("other");
        failing.Tell(new Probe.Throw("boom"));
        failing.Tell(new Probe.Say("lost"));
        other.Tell(new Probe.Say("unharmed"));

        _dispatcher.RunAll();

        Assert.Contains("failing stops after boom", _journal);
        Assert.Contains("unharmed", _journal);
        Assert.DoesNotContain("lost", _journal);
        Assert.Equal("boom", told?.Message);
        Assert.True(failing.Stopped.IsCompletedSuccessfully);
        Assert.Equal(["test/failing: boom"], _failures);
        Assert.False(failing.Tell(new Probe.Say("too late")));
        Assert.Equal([new Probe.Say("lost"), new Probe.Say("too late")], _deadLetters);
    }

    [Fact]
    public void Resume_keeps_state_and_Restart_makes_a_new_instance()
    {
        var resumed = Spawn("resumed", new() { Strategy = SupervisorStrategy.Resume });
        resumed.Tell(new Probe.Throw("1"));
        resumed.Tell(new Probe.Say("goes on"));
        var restarted = Spawn("restarted", new() { Strategy = SupervisorStrategy.Restart });
        restarted.Tell(new Probe.Throw("2"));
        restarted.Tell(new Probe.Say("new one"));

        _dispatcher.RunAll();

        Assert.Equal(
            ["resumed starts", "goes on", "restarted starts", "restarted stops after 2", "restarted starts", "new one"],
            _journal);
        Assert.Equal(1, _system.Restarts);
        Assert.Equal(2, _system.Failures);
    }

    [Fact]
    public void Too_many_failures_stop_what_would_be_restarted_for_ever()
    {
        var probe = Spawn(options: new() { Strategy = new(_ => SupervisorDirective.Restart, MaxFailures: 3, WindowUs: 1000) });
        for (int i = 0; i < 3; i++)
            probe.Tell(new Probe.Throw("early"));
        _dispatcher.RunAll();
        _dispatcher.Advance(2000);
        for (int i = 0; i < 3; i++)
            probe.Tell(new Probe.Throw("late"));
        _dispatcher.RunAll();
        Assert.False(probe.Stopped.IsCompleted);

        probe.Tell(new Probe.Throw("last"));
        _dispatcher.RunAll();
        Assert.True(probe.Stopped.IsCompleted);
    }

    [Fact]
    public void Escalate_fails_the_parent_which_takes_its_children_along()
    {
        var parent = Spawn("parent");
        parent.Tell(new Probe.SpawnChild("child", _journal, _dispatcher, new() { Strategy = SupervisorStrategy.Escalate }));
        parent.Tell(new Probe.ToChild(new Probe.Throw("deep")));

        _dispatcher.RunAll();

        Assert.Equal(["parent starts", "child starts", "child stops after deep", "parent stops after deep"], _journal);
    }

    [Fact]
    public void Children_stop_before_their_parent_also_on_other_dispatchers()
    {
        var elsewhere = new ManualDispatcher();
        var parent = Spawn("parent");
        parent.Tell(new Probe.SpawnChild("child", _journal, elsewhere, SpawnOptions.Default));
        _dispatcher.RunAll();
        elsewhere.RunAll();

        parent.Stop();
        _dispatcher.RunAll();
        Assert.False(parent.Stopped.IsCompleted);
        elsewhere.RunAll();
        _dispatcher.RunAll();

        Assert.Equal(["parent starts", "child starts", "child stops", "parent stops"], _journal);
    }

    [Fact]
    public void Stop_drops_what_waits_and_drain_handles_it_first()
    {
        var dropped = Spawn("dropped");
        dropped.Tell(new Probe.Say("dropped message"));
        dropped.Stop();
        var drained = Spawn("drained");
        drained.Tell(new Probe.Say("drained message"));
        drained.Stop(drain: true);
        Assert.False(drained.Tell(new Probe.Say("too late")));

        _dispatcher.RunAll();

        Assert.DoesNotContain("dropped message", _journal);
        Assert.Contains("drained message", _journal);
        Assert.True(dropped.Stopped.IsCompleted && drained.Stopped.IsCompleted);
    }

    [Fact]
    public void Timers_send_messages_at_their_time()
    {
        var probe = Spawn();
        probe.Deliver(new Probe.Arm(500, "due"));
        _dispatcher.Advance(499);
        Assert.DoesNotContain("due", _journal);
        _dispatcher.Advance(1);
        Assert.Contains("due", _journal);
    }

    [Fact]
    public async Task Ask_brings_the_first_answer_or_times_out()
    {
        var probe = Spawn();
        var answer = probe.Ask<string>(reply => new Probe.Question(reply), TimeSpan.FromSeconds(30));
        _dispatcher.RunAll();
        Assert.Equal("answer", await answer);

        await Assert.ThrowsAsync<TimeoutException>(() => probe.Ask<string>(_ => new Probe.Say("no answer"), TimeSpan.Zero));
        probe.Stop();
        _dispatcher.RunAll();
        await Assert.ThrowsAsync<InvalidOperationException>(() => probe.Ask<string>(reply => new Probe.Question(reply), TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public void An_actor_that_cannot_start_stops()
    {
        var broken = _system.Spawn<Probe.Message>("broken", _dispatcher, () => throw new InvalidOperationException("no"));
        broken.Tell(new Probe.Say("lost"));
        _dispatcher.RunAll();
        Assert.True(broken.Stopped.IsCompleted);
        Assert.Equal(["test/broken: no"], _failures);
        Assert.Equal([new Probe.Say("lost")], _deadLetters);
    }

    [Fact]
    public async Task StopAsync_stops_the_youngest_first_and_handles_what_waits()
    {
        using var threads = new ThreadDispatcher("test", 2);
        var system = new ActorSystem("test");
        var journal = new List<string>();
        var first = system.Spawn<Probe.Message>("first", threads, () => new Probe(journal, "first"));
        await first.Ask<string>(reply => new Probe.Question(reply), TimeSpan.FromSeconds(30));
        var second = system.Spawn<Probe.Message>("second", threads, () => new Probe(journal, "second"));
        second.Tell(new Probe.Say("waits"));

        Assert.True(await system.StopAsync(TimeSpan.FromSeconds(30)));

        Assert.Equal(["first starts", "second starts", "waits", "second stops", "first stops"], journal);
    }

    [Fact]
    public async Task Many_threads_lose_no_message_and_never_run_an_actor_twice_at_once()
    {
        const int Senders = 8, Each = 5_000;
        using var threads = new ThreadDispatcher("test", 4);
        var system = new ActorSystem("test");
        var counter = new Counter();
        var actor = system.Spawn<Counter.Message>("counter", threads, () => counter, new() { MailboxCapacity = Senders * Each });
        Parallel.For(0, Senders, new() { MaxDegreeOfParallelism = Senders }, _ =>
        {
            for (int i = 0; i < Each; i++)
                Assert.True(actor.Tell(new Counter.Increment()));
        });

        Assert.True(await system.StopAsync(TimeSpan.FromSeconds(60)));

        Assert.Equal(Senders * Each, counter.Count);
        Assert.False(counter.Overlapped);
    }

    private ActorRef<Probe.Message> Spawn(string name = "probe", SpawnOptions? options = null) =>
        _system.Spawn<Probe.Message>(name, _dispatcher, () => new Probe(_journal, name), options);

    private sealed class Counter : Actor<Counter.Message>
    {
        public abstract record Message;

        public sealed record Increment : Message;

        private int _inside;

        public int Count { get; private set; }

        public bool Overlapped { get; private set; }

        protected override void Receive(Message message)
        {
            Overlapped |= Interlocked.Increment(ref _inside) != 1;
            Count++;
            Interlocked.Decrement(ref _inside);
        }
    }
}
