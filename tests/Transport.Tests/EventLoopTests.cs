using System.Collections.Concurrent;
using System.Diagnostics;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>What every transport's loops do besides sockets.</summary>
public sealed class EventLoopTests
{
    [Theory, EveryTransport]
    public void Timers_fire_in_order_of_their_time_and_not_before(string transport)
    {
        using RunningLoop loop = new(transport);
        using CountdownEvent left = new(4);
        ConcurrentQueue<(long DueUs, long NowUs)> fired = [];

        long[] dues = loop.Run(() =>
        {
            long startUs = loop.Loop.NowUs;
            long[] dues = [startUs + 9000, startUs + 3000, startUs - 5, startUs + 6000];
            foreach (long dueUs in dues)
            {
                loop.Loop.SetTimer(new Timer(nowUs =>
                {
                    fired.Enqueue((dueUs, nowUs));
                    left.Signal();
                }), dueUs);
            }
            return dues;
        });

        Assert.True(left.Wait(RunningLoop.Deadline));
        Assert.Equal(dues.Order(), fired.Select(timer => timer.DueUs));
        Assert.All(fired, timer => Assert.True(timer.NowUs >= timer.DueUs));
    }

    [Theory, EveryTransport]
    public void Timers_can_be_moved_disarmed_and_armed_again(string transport)
    {
        using RunningLoop loop = new(transport);
        using ManualResetEventSlim last = new();
        List<string> fired = [];

        loop.Run(() =>
        {
            long startUs = loop.Loop.NowUs;
            Timer moved = new(_ => fired.Add("moved"));
            loop.Loop.SetTimer(moved, startUs + 3_600_000_000);
            loop.Loop.SetTimer(moved, startUs + 2000);
            Assert.Equal(startUs + 2000, moved.DueUs);

            Timer disarmed = new(_ => fired.Add("disarmed"));
            loop.Loop.SetTimer(disarmed, startUs + 1000);
            loop.Loop.SetTimer(disarmed, long.MaxValue);
            Assert.Equal(long.MaxValue, disarmed.DueUs);

            int left = 3;
            Timer? periodic = null;
            periodic = new(nowUs =>
            {
                fired.Add("periodic");
                Assert.Equal(long.MaxValue, periodic!.DueUs);
                if (--left > 0)
                    loop.Loop.SetTimer(periodic, nowUs + 3000);
                else
                    last.Set();
            });
            loop.Loop.SetTimer(periodic, startUs + 3000);
        });

        Assert.True(last.Wait(RunningLoop.Deadline));
        Assert.Equal(["moved", "periodic", "periodic", "periodic"], loop.Run(() => fired.ToArray()));
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void A_timer_that_is_always_due_starves_neither_sockets_nor_posted_work(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();
        loop.Run(() =>
        {
            Timer? always = null;
            always = new(nowUs => loop.Loop.SetTimer(always!, nowUs - 1));
            loop.Loop.SetTimer(always, 0);
        });

        client.Send(endpoint, [1]);

        recorder.WaitFor(1);
        Assert.True(loop.Run(() => loop.Loop.IsCurrent));
    }

    [Theory, EveryTransport]
    public void Work_that_posts_work_starves_neither_sockets_nor_timers(string transport)
    {
        using RunningLoop loop = new(transport);
        using ManualResetEventSlim fired = new();
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();
        Work? again = null;
        again = new(() => loop.Loop.Post(again!));
        for (int i = 0; i < 1000; i++)
            loop.Loop.Post(again);
        loop.Run(() => loop.Loop.SetTimer(new Timer(_ => fired.Set()), loop.Loop.NowUs + 1000));

        client.Send(endpoint, [1]);

        recorder.WaitFor(1);
        Assert.True(fired.Wait(RunningLoop.Deadline));
    }

    [Theory, EveryTransport]
    public void Work_posted_from_many_threads_runs_once_each_and_in_order_of_its_thread(string transport)
    {
        const int Threads = 8;
        const int PerThread = 5000;
        using RunningLoop loop = new(transport);
        using CountdownEvent left = new(Threads * PerThread);
        List<int>[] ran = [.. Enumerable.Range(0, Threads).Select(_ => new List<int>())];

        Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, thread =>
        {
            for (int i = 0; i < PerThread; i++)
            {
                int number = i;
                loop.Loop.Post(new Work(() =>
                {
                    ran[thread].Add(number);
                    left.Signal();
                }));
            }
        });

        Assert.True(left.Wait(RunningLoop.Deadline));
        Assert.All(ran, numbers => Assert.Equal(Enumerable.Range(0, PerThread), numbers));
    }

    [Theory, EveryTransport]
    public void Exceptions_reach_the_handler_and_the_loop_goes_on(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new((_, datagrams) =>
        {
            if (datagrams[0].Span[0] == 1)
                throw new FormatException("receiver");
        });
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();
        using ManualResetEventSlim fired = new();

        client.Send(endpoint, [1]);
        Assert.True(SpinWait.SpinUntil(() => !loop.Errors.IsEmpty, RunningLoop.Deadline));
        loop.Loop.Post(new Work(() => throw new FormatException("work")));
        loop.Run(() => loop.Loop.SetTimer(new Timer(_ =>
        {
            fired.Set();
            throw new FormatException("timer");
        }), 0));
        Assert.True(fired.Wait(RunningLoop.Deadline));
        client.Send(endpoint, [2]);

        Assert.Equal([2], Assert.Single(recorder.WaitFor(1)).Bytes);
        Assert.Equal(["receiver", "work", "timer"], loop.Errors.Select(error => error.Message));
    }

    [Theory, EveryTransport]
    public void A_handler_that_fails_does_not_end_the_loop(string transport)
    {
        Assert.True(Transports.TryGet(transport, out ITransport? found));
        using IEventLoop loop = found.CreateLoop("test", failure => throw failure);
        using ManualResetEventSlim ran = new();
        loop.Start();

        loop.Post(new Work(() => throw new FormatException("work")));
        loop.Post(new Work(ran.Set));

        Assert.True(ran.Wait(RunningLoop.Deadline));
    }

    [Theory, EveryTransport]
    public void Time_goes_forward_and_stands_still_within_a_callback(string transport)
    {
        using RunningLoop loop = new(transport);
        long beforeUs = loop.Run(() => loop.Loop.NowUs);
        long afterUs = loop.Run(() =>
        {
            long nowUs = loop.Loop.NowUs;
            long startTicks = Stopwatch.GetTimestamp();
            SpinWait.SpinUntil(() => Stopwatch.GetElapsedTime(startTicks).TotalMicroseconds > 100);
            Assert.Equal(nowUs, loop.Loop.NowUs);
            return nowUs;
        });
        Assert.True(loop.Run(() => loop.Loop.NowUs) >= afterUs + 100);
        Assert.True(afterUs >= beforeUs);
    }

    [Theory, EveryTransport]
    public void Dispose_runs_what_was_posted_closes_the_endpoints_and_ends_the_thread(string transport)
    {
        RunningLoop loop = new(transport);
        Thread thread = loop.Run(() => Thread.CurrentThread);
        IUdpEndpoint[] endpoints = [.. Enumerable.Range(0, 5).Select(_ => loop.Open(Ipv4.Any, new DatagramRecorder()))];
        Timer timer = new(_ => { });
        loop.Run(() => loop.Loop.SetTimer(timer, loop.Loop.NowUs + 3_600_000_000));
        int ran = 0;
        for (int i = 0; i < 1000; i++)
            loop.Loop.Post(new Work(() => ran++));

        loop.Dispose();

        Assert.False(thread.IsAlive);
        Assert.Equal(1000, ran);
        Assert.Equal(long.MaxValue, timer.DueUs);

        using RunningLoop next = new(transport);
        Assert.All(endpoints, endpoint => Assert.Equal(endpoint.Port, next.Open(Ipv4.Any, new DatagramRecorder(), endpoint.Port).Port));

        // All of it stays harmless afterwards.
        loop.Loop.Post(new Work(() => ran++));
        endpoints[0].SendAcks(Ipv4.Loopback, Ipv4.Loopback, 9, [1]);
        endpoints[0].Dispose();
        loop.Dispose();
        Assert.Equal(1000, ran);
    }

    [Theory, EveryTransport]
    public void A_loop_can_be_disposed_on_its_own_thread(string transport)
    {
        using RunningLoop loop = new(transport);
        Thread thread = loop.Run(() => Thread.CurrentThread);

        loop.Run(loop.Dispose);

        Assert.True(thread.Join(RunningLoop.Deadline));
    }

    [Theory, EveryTransport]
    public void A_loop_that_was_never_started_can_be_disposed_and_not_started_then(string transport)
    {
        Assert.True(Transports.TryGet(transport, out ITransport? found));
        IEventLoop loop = found.CreateLoop("test", _ => { });
        bool ran = false;
        loop.Post(new Work(() => ran = true));

        loop.Dispose();

        Assert.Throws<InvalidOperationException>(loop.Start);
        Assert.False(ran);
    }

    private sealed class Timer(Action<long> onDue) : LoopTimer
    {
        public override void OnDue(long nowUs) => onDue(nowUs);
    }

    private sealed class Work(Action run) : ILoopWork
    {
        public void Run() => run();
    }
}
