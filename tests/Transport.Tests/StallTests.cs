using System.Buffers.Binary;
using System.Collections.Concurrent;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>What every transport's loops do when a call is stuck.</summary>
public sealed class StallTests
{
    [Theory, EveryTransport]
    public void A_call_that_comes_back_changes_nothing(string transport)
    {
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);
        Thread before = loop.Run(() => Thread.CurrentThread);

        Assert.True(loop.Run(device.Call));
        Assert.True(loop.Run(() => device.Call() && device.Call()));

        Assert.Equal(0, device.Stalls);
        Assert.Same(before, loop.Run(() => Thread.CurrentThread));
    }

    [Theory, EveryTransport]
    public void While_a_receiver_is_stuck_other_sockets_timers_and_work_go_on_on_another_thread(string transport)
    {
        using RunningLoop loop = new(transport);
        using ManualResetEventSlim fired = new();
        using Device device = new(loop.Loop);
        IUdpEndpoint stuck = loop.Open(Ipv4.Loopback, new DatagramRecorder((_, _) => device.Call()));
        DatagramRecorder recorder = new();
        IUdpEndpoint other = loop.Open(Ipv4.Loopback, recorder);
        loop.Run(() => loop.Loop.SetTimer(new Timer(_ => fired.Set()), loop.Loop.NowUs + 20_000));
        using UdpClientSocket client = new();

        device.Hang();
        client.Send(stuck, [1]);
        client.Send(other, [2]);
        device.AwaitStall();

        Assert.Equal([2], Assert.Single(recorder.WaitFor(1)).Bytes);
        Assert.True(fired.Wait(RunningLoop.Deadline));
        (Thread Thread, bool IsCurrent) carrier = loop.Run(() => (Thread.CurrentThread, loop.Loop.IsCurrent));
        Assert.NotSame(device.Caller, carrier.Thread);
        Assert.True(carrier.IsCurrent);
        Assert.False(device.WasCurrentWhenTold);
        Assert.Null(device.Ended);

        device.Free();
        Assert.True(SpinWait.SpinUntil(() => device.Ended == false, RunningLoop.Deadline));
        client.Send(other, [3]);
        Assert.Equal([3], recorder.WaitFor(2)[1].Bytes);
        Assert.Same(carrier.Thread, loop.Run(() => Thread.CurrentThread));
        Assert.Equal(1, device.Stalls);
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void A_thread_that_was_stuck_leaves_the_rest_of_its_round_to_the_loop(string transport)
    {
        const int Endpoints = 8;
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);
        device.Hang();
        ConcurrentQueue<(IUdpEndpoint Endpoint, Thread Thread)> delivered = [];
        int stuckOnce = 0;
        DatagramRecorder recorder = new((endpoint, _) =>
        {
            delivered.Enqueue((endpoint, Thread.CurrentThread));
            if (Interlocked.Exchange(ref stuckOnce, 1) == 0)
                device.Call();
        });
        IUdpEndpoint[] endpoints = [.. Enumerable.Range(0, Endpoints).Select(_ => loop.Open(Ipv4.Loopback, recorder))];
        using UdpClientSocket client = new();

        // All are readable in one round, the first delivery of which is stuck.
        Thread first = loop.Run(() => Thread.CurrentThread);
        loop.Hold(() =>
        {
            foreach (IUdpEndpoint endpoint in endpoints)
                client.Send(endpoint, [1]);
        });
        device.Free();
        recorder.WaitFor(Endpoints);
        Assert.True(SpinWait.SpinUntil(() => device.Ended == false, RunningLoop.Deadline));
        loop.Run(() => { });

        Assert.Equal(Endpoints, delivered.Count);
        Assert.Equal(endpoints.ToHashSet(), delivered.Select(delivery => delivery.Endpoint).ToHashSet());
        Assert.Equal(1, delivered.Count(delivery => delivery.Thread == first));
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void While_one_source_of_a_shared_socket_is_stuck_the_others_received_with_it_are_delivered(string transport)
    {
        const int Clients = 40;
        const int Each = 50;
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);
        device.Hang();
        ushort stuck = 0;
        DatagramRecorder recorder = new((_, datagrams) =>
        {
            if (stuck != 0)
                return;
            stuck = datagrams[0].RemotePort;
            device.Call();
        });
        IUdpEndpoint shared = loop.Open(Ipv4.Loopback, recorder, manySources: true);
        UdpClientSocket[] clients = [.. Enumerable.Range(0, Clients).Select(_ => new UdpClientSocket())];

        // More than one delivery takes.
        loop.Hold(() =>
        {
            for (byte i = 0; i < Each; i++)
            {
                foreach (var client in clients)
                    client.Send(shared, [i]);
            }
        });

        // All but what the stuck call was given.
        recorder.WaitFor(Clients * Each - Each);
        Assert.Null(device.Ended);
        device.Free();
        Delivered[] received = recorder.WaitFor(Clients * Each);
        Assert.Equal(Clients * Each, received.Length);
        foreach (UdpClientSocket client in clients)
        {
            if (client.Port != stuck)
                Assert.Equal([.. Enumerable.Range(0, Each).Select(i => (byte)i)], received.Where(datagram => datagram.RemotePort == client.Port).Select(datagram => datagram.Bytes[0]).ToArray());
            client.Dispose();
        }

        Assert.Empty(loop.Errors);
    }

    [LinuxFact]
    public void A_stuck_receiver_keeps_its_datagrams()
    {
        using RunningLoop loop = new("linux");
        using Device device = new(loop.Loop);
        device.Hang();
        int[]? before = null, after = null;
        int total = 0;
        using ManualResetEventSlim done = new();
        DatagramRecorder receiver = new((_, datagrams) =>
        {
            if (before is not null)
            {
                Interlocked.Add(ref total, datagrams.Length);
                return;
            }

            before = Numbers(datagrams);
            device.Call();
            after = Numbers(datagrams);
            done.Set();
        });
        IUdpEndpoint shared = loop.Open(Ipv4.Loopback, receiver, manySources: true, receiveBufferBytes: 32 << 20);
        UdpClientSocket[] clients = [.. Enumerable.Range(0, 40).Select(_ => new UdpClientSocket())];
        byte[] train = new byte[64 * 4];
        loop.Hold(() =>
        {
            int number = 0;
            foreach (UdpClientSocket client in clients)
            {
                for (int i = 0; i < 64; i++)
                    BinaryPrimitives.WriteInt32BigEndian(train.AsSpan(4 * i), number++);
                client.SendTrain(shared, train, 4);
            }
        });
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref total) == 39 * 64, RunningLoop.Deadline));
        device.Free();
        Assert.True(done.Wait(RunningLoop.Deadline));
        foreach (UdpClientSocket client in clients)
            client.Dispose();
        Assert.Equal(before, after);
    }

    [LinuxFact]
    public void A_receiver_that_is_stuck_in_what_another_thread_received_keeps_its_datagrams()
    {
        using RunningLoop loop = new("linux");
        using Device disk = new(loop.Loop), share = new(loop.Loop);
        disk.Hang();
        share.Hang();
        int deliveries = 0, total = 0;
        int[]? before = null, after = null;
        using ManualResetEventSlim done = new();
        DatagramRecorder receiver = new((_, datagrams) =>
        {
            Interlocked.Add(ref total, datagrams.Length);
            switch (Interlocked.Increment(ref deliveries))
            {
                case 1:
                    disk.Call();
                    break;
                case 2:
                    before = Numbers(datagrams);
                    share.Call();
                    after = Numbers(datagrams);
                    done.Set();
                    break;
            }
        });
        IUdpEndpoint shared = loop.Open(Ipv4.Loopback, receiver, manySources: true, receiveBufferBytes: 32 << 20);
        UdpClientSocket[] clients = [.. Enumerable.Range(0, 40).Select(_ => new UdpClientSocket())];
        int number = 0;
        void SendTrains()
        {
            byte[] train = new byte[64 * 4];
            foreach (UdpClientSocket client in clients)
            {
                for (int i = 0; i < 64; i++)
                    BinaryPrimitives.WriteInt32BigEndian(train.AsSpan(4 * i), number++);
                client.SendTrain(shared, train, 4);
            }
        }

        // One thread received them all and is stuck in the first client's, the next one in the second's, and a third delivers the rest.
        loop.Hold(SendTrains);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref total) == 40 * 64, RunningLoop.Deadline));
        Thread owner = disk.Caller!;
        disk.Free();
        Assert.True(SpinWait.SpinUntil(() => disk.Ended == false && (owner.ThreadState & System.Threading.ThreadState.WaitSleepJoin) != 0, RunningLoop.Deadline));
        // The next stall needs a thread that is free.
        disk.Hang();
        loop.Loop.Post(new Work(() => disk.Call()));
        disk.AwaitStall();
        loop.Hold(SendTrains);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref total) == 2 * 40 * 64, RunningLoop.Deadline));
        share.Free();

        Assert.True(done.Wait(RunningLoop.Deadline));
        foreach (UdpClientSocket client in clients)
            client.Dispose();
        Assert.NotEmpty(before!);
        Assert.Equal(before, after);
    }

    private static int[] Numbers(ReadOnlySpan<Datagram> datagrams)
    {
        int[] numbers = new int[datagrams.Length];
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = BinaryPrimitives.ReadInt32BigEndian(datagrams[i].Span);
        return numbers;
    }

    [Theory, EveryTransport]
    public void Stuck_timers_and_work_hold_up_neither_other_timers_nor_other_work(string transport)
    {
        using RunningLoop loop = new(transport);
        using Device disk = new(loop.Loop), share = new(loop.Loop);
        using CountdownEvent left = new(4);
        disk.Hang();
        share.Hang();

        // In one round: what follows the stuck one is the next thread's.
        loop.Run(() =>
        {
            loop.Loop.SetTimer(new Timer(_ => disk.Call()), 1);
            loop.Loop.SetTimer(new Timer(_ => left.Signal()), 2);
            loop.Loop.SetTimer(new Timer(_ => left.Signal()), 3);
            loop.Loop.Post(new Work(() => share.Call()));
            loop.Loop.Post(new Work(() => left.Signal()));
            loop.Loop.Post(new Work(() => left.Signal()));
        });

        Assert.True(left.Wait(RunningLoop.Deadline));
        Assert.Equal((1, 1), (disk.Stalls, share.Stalls));
        Assert.NotSame(disk.Caller, share.Caller);
        disk.Free();
        share.Free();
        Assert.True(SpinWait.SpinUntil(() => disk.Ended == false && share.Ended == false, RunningLoop.Deadline));
        Assert.True(loop.Run(() => loop.Loop.IsCurrent));
    }

    [LinuxFact]
    public void A_call_that_only_takes_processor_time_is_not_stuck()
    {
        using RunningLoop loop = new("linux");
        using Device device = new(loop.Loop);

        // One system call, some 400 ms long, so that the watch could take over ten times; a thread in managed code would wait in every collection of another test.
        using var random = File.OpenHandle("/dev/urandom");
        byte[] bytes = GC.AllocateUninitializedArray<byte>(192 << 20, pinned: true);
        // A page that is touched for the first time in the call may wait for memory, or for another test's mapping.
        Array.Fill(bytes, (byte)1);
        int read = 0;
        Assert.True(loop.Run(() =>
        {
            loop.Loop.BeginBlockingCall(device);
            read = RandomAccess.Read(random, bytes, 0);
            return loop.Loop.EndBlockingCall();
        }));

        Assert.Equal(bytes.Length, read);
        Assert.Equal(0, device.Stalls);
    }

    [Theory, EveryTransport]
    public void Threads_that_come_back_carry_the_loop_again_later(string transport)
    {
        const int Stalls = 6;
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);
        HashSet<Thread> callers = [];

        for (int i = 0; i < Stalls; i++)
        {
            device.Hang();
            loop.Loop.Post(new Work(() => device.Call()));
            device.AwaitStall();
            callers.Add(device.Caller!);
            device.Free();
            Thread stuck = device.Caller!;
            Assert.True(SpinWait.SpinUntil(() => device.Ended == false && (stuck.ThreadState & System.Threading.ThreadState.WaitSleepJoin) != 0, RunningLoop.Deadline));
        }

        Assert.Equal(Stalls, device.Stalls);
        Assert.InRange(callers.Count, 2, 3);
    }

    [Theory, EveryTransport]
    public void More_threads_than_are_kept_end_when_they_come_back(string transport)
    {
        using RunningLoop loop = new(transport);
        Device[] devices = [.. Enumerable.Range(0, 4).Select(_ => new Device(loop.Loop))];
        foreach (Device device in devices)
        {
            device.Hang();
            loop.Loop.Post(new Work(() => device.Call()));
            device.AwaitStall();
        }

        Array.ForEach(devices, device => device.Free());

        Assert.True(SpinWait.SpinUntil(() => devices.Count(device => device.Caller!.IsAlive) == 2, RunningLoop.Deadline));
        loop.Dispose();
        Assert.All(devices, device => Assert.True(device.Caller!.Join(RunningLoop.Deadline)));
    }

    [Theory, EveryTransport]
    public void A_loop_ends_while_a_thread_is_stuck(string transport)
    {
        using RunningLoop loop = new(transport);
        using Device before = new(loop.Loop), during = new(loop.Loop);
        before.Hang();
        during.Hang();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, new DatagramRecorder());
        bool ran = false;
        loop.Loop.Post(new Work(() => before.Call()));
        before.AwaitStall();
        // Also the round that ends the loop can be stuck.
        loop.Loop.Post(new Work(() => during.Call()));
        loop.Loop.Post(new Work(() => ran = true));

        loop.Dispose();

        Assert.True(ran);
        using RunningLoop next = new(transport);
        Assert.Equal(endpoint.Port, next.Open(Ipv4.Any, new DatagramRecorder(), endpoint.Port).Port);
        foreach (Device device in (Device[])[before, during])
        {
            Assert.Null(device.Ended);
            device.Free();
            Assert.True(device.Caller!.Join(RunningLoop.Deadline));
            Assert.False(device.Ended);
        }
    }

    [Theory, EveryTransport]
    public void An_exception_out_of_a_call_ends_it(string transport)
    {
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);

        for (int i = 0; i < 3; i++)
        {
            loop.Loop.Post(new Work(() =>
            {
                loop.Loop.BeginBlockingCall(device);
                throw new FormatException("call");
            }));
        }
        Thread carrier = loop.Run(() => Thread.CurrentThread);

        Assert.Equal(["call", "call", "call"], loop.Errors.Select(error => error.Message));
        Assert.True(loop.Run(device.Call));
        Assert.Same(carrier, device.Caller);
        Assert.Equal(0, device.Stalls);
    }

    [Theory, EveryTransport]
    public void An_observer_that_fails_does_not_keep_the_loop(string transport)
    {
        using RunningLoop loop = new(transport);
        using ManualResetEventSlim free = new();

        loop.Loop.Post(new Work(() =>
        {
            loop.Loop.BeginBlockingCall(new FailingObserver());
            free.Wait();
            Assert.False(loop.Loop.EndBlockingCall());
        }));

        Assert.True(loop.Run(() => loop.Loop.IsCurrent));
        Assert.Equal("observer", Assert.Single(loop.Errors).Message);
        free.Set();
    }

    [Fact]
    public void A_call_that_no_other_thread_can_be_had_for_is_told_of_once()
    {
        List<Exception> errors = [];
        using ThreadlessLoop loop = new(errors.Add);
        using IdleThread stuck = new(loop);

        loop.TakeOver(stuck, 1);
        loop.TakeOver(stuck, 1);
        Assert.Single(errors);

        loop.TakeOver(stuck, 2);
        Assert.Equal(2, errors.Count);
    }

    [Theory, EveryTransport]
    public void A_stall_after_a_quiet_time_is_noticed(string transport)
    {
        using RunningLoop loop = new(transport);
        using Device device = new(loop.Loop);
        LoopWatch watch = ((EventLoop)loop.Loop).StallWatch;
        loop.Run(device.Call);

        // Without calls the watch sleeps, and the next call wakes it.
        Assert.True(SpinWait.SpinUntil(() => watch.IsAsleep, RunningLoop.Deadline));
        loop.Run(device.Call);
        Assert.True(SpinWait.SpinUntil(() => watch.IsAsleep, RunningLoop.Deadline));

        device.Hang();
        loop.Loop.Post(new Work(() => device.Call()));
        device.AwaitStall();
        Assert.True(loop.Run(() => loop.Loop.IsCurrent));
        device.Free();
    }

    /// <summary>Calls of random length, many of them about as long as the watch waits, in receivers, timers and work: never do two threads have the loop at the same time.</summary>
    [Theory, EveryTransport]
    public void Random_stalls_never_leave_the_loop_to_two_threads_or_to_none(string transport)
    {
        const int Endpoints = 8;
        const int Rounds = 120;
        int seed = Environment.TickCount;
        Random random = new(seed);
        using RunningLoop loop = new(transport);
        Exclusive exclusive = new(loop.Loop);
        ConcurrentQueue<int> callsMs = new(Enumerable.Range(0, 40 * Rounds).Select(i => i % 20 == 0 ? random.Next(25, 60) : 0));
        int NextCallMs() => callsMs.TryDequeue(out int callMs) ? callMs : 0;

        int workRan = 0;
        int timersFired = 0;
        DatagramRecorder recorder = new((_, _) => exclusive.Run(NextCallMs()));
        IUdpEndpoint[] endpoints = [.. Enumerable.Range(0, Endpoints).Select(_ => loop.Open(Ipv4.Loopback, recorder))];
        using UdpClientSocket client = new();
        for (int i = 0; i < Rounds; i++)
        {
            client.Send(endpoints[random.Next(Endpoints)], BitConverter.GetBytes(i));
            loop.Loop.Post(new Work(() =>
            {
                Interlocked.Increment(ref workRan);
                loop.Loop.SetTimer(
                    new Timer(_ =>
                    {
                        Interlocked.Increment(ref timersFired);
                        exclusive.Run(NextCallMs());
                    }),
                    loop.Loop.NowUs + 500);
                exclusive.Run(NextCallMs());
            }));
        }

        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref timersFired) == Rounds, RunningLoop.Deadline), $"seed {seed}: {timersFired} timers");
        Assert.Equal(Rounds, workRan);
        Assert.Empty(loop.Errors);
        Assert.True(exclusive.Stalls > 0, $"seed {seed}");

        // Each datagram is delivered once or, with a stall, not at all; and all sockets still work.
        Delivered[] delivered = recorder.WaitFor(0);
        Assert.Equal(delivered.Length, delivered.Select(datagram => BitConverter.ToInt32(datagram.Bytes)).Distinct().Count());
        while (callsMs.TryDequeue(out _))
            ;
        foreach (IUdpEndpoint endpoint in endpoints)
        {
            int before = recorder.Count;
            client.Send(endpoint, BitConverter.GetBytes(-1 - endpoint.Port));
            Assert.True(SpinWait.SpinUntil(() => recorder.Count > before, RunningLoop.Deadline), $"seed {seed}");
        }
    }

    private sealed class Timer(Action<long> onDue) : LoopTimer
    {
        public override void OnDue(long nowUs) => onDue(nowUs);
    }

    private sealed class Work(Action run) : ILoopWork
    {
        public void Run() => run();
    }

    /// <summary>A loop on a machine that has no more threads.</summary>
    private sealed class ThreadlessLoop(Action<Exception> onError) : EventLoop("test", onError)
    {
        private protected override LoopThread CreateThread() => throw new InvalidOperationException("no thread");

        private protected override void Wake()
        {
        }

        private protected override IUdpEndpoint OpenSocket(EndpointOptions options, IDatagramReceiver receiver) => throw new NotSupportedException();

        private protected override void CloseSockets()
        {
        }
    }

    private sealed class IdleThread(EventLoop loop) : LoopThread(loop)
    {
        public override bool PollSockets(int waitMs) => true;
    }

    private sealed class FailingObserver : IStallObserver
    {
        public void OnStall() => throw new FormatException("observer");
    }

    /// <summary>Fails when two threads have the loop.</summary>
    private sealed class Exclusive(IEventLoop loop) : IStallObserver
    {
        private int _inside;
        private int _stalls;

        public int Stalls => Volatile.Read(ref _stalls);

        public void Run(int callMs)
        {
            Enter();
            Leave();
            loop.BeginBlockingCall(this);
            if (callMs > 0)
                Thread.Sleep(callMs);
            if (!loop.EndBlockingCall())
                return;

            Enter();
            Leave();
        }

        public void OnStall() => Interlocked.Increment(ref _stalls);

        private void Enter()
        {
            if (!loop.IsCurrent || Interlocked.Exchange(ref _inside, 1) != 0)
                throw new InvalidOperationException("another thread has the loop");
            Thread.Yield();
        }

        private void Leave() => Volatile.Write(ref _inside, 0);
    }
}
