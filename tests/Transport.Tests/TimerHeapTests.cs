using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Transport.Tests;

public sealed class TimerHeapTests
{
    [Fact]
    public void Behaves_as_a_sorted_list_of_its_timers() =>
        Prop.ForAll(Steps().ToArbitrary(), AgreesWithModel).QuickCheckThrowOnFailure();

    [Fact]
    public void Arming_moving_and_firing_allocate_nothing()
    {
        TimerHeap heap = new();
        Timer[] timers = [.. Enumerable.Range(0, 1000).Select(_ => new Timer())];

        NoAllocation.In(() => Cycle(heap, timers));
    }

    [Fact]
    public void Clear_disarms_all()
    {
        TimerHeap heap = new();
        Timer[] timers = [.. Enumerable.Range(0, 100).Select(_ => new Timer())];
        for (int i = 0; i < timers.Length; i++)
            heap.Set(timers[i], 1000 - i);

        heap.Clear();

        Assert.Equal(0, heap.Count);
        Assert.Equal(long.MaxValue, heap.NextDueUs);
        Assert.All(timers, timer => Assert.Equal((long.MaxValue, -1), (timer.DueUs, timer.HeapIndex)));
    }

    private static void Cycle(TimerHeap heap, Timer[] timers)
    {
        for (int i = 0; i < timers.Length; i++)
            heap.Set(timers[i], i * 7919 % 1009);
        for (int i = 0; i < timers.Length; i += 3)
            heap.Set(timers[i], i);
        while (heap.TryTakeDue(long.MaxValue - 1, out _))
        {
        }
    }

    // Timer to set and its time; a negative time takes out what is due by then, one above 900 disarms.
    private static Gen<(int Timer, int Time)[]> Steps() =>
        from length in Gen.Choose(0, 300)
        from steps in (from timer in Gen.Choose(0, 99)
                       from time in Gen.Choose(-200, 1000)
                       select (timer, time)).ArrayOf(length)
        select steps;

    private static bool AgreesWithModel((int Timer, int Time)[] steps)
    {
        TimerHeap heap = new();
        Timer[] timers = [.. Enumerable.Range(0, 100).Select(_ => new Timer())];
        Dictionary<Timer, long> model = [];

        foreach ((int index, int time) in steps)
        {
            if (time < 0)
            {
                long nowUs = -5 * time;
                while (heap.TryTakeDue(nowUs, out LoopTimer? taken))
                {
                    var timer = (Timer)taken;
                    if (!model.Remove(timer, out long dueUs) || dueUs > nowUs || model.Values.Any(other => other < dueUs) || timer.DueUs != long.MaxValue)
                        return false;
                }
                if (model.Values.Any(dueUs => dueUs <= nowUs))
                    return false;
            }
            else if (time > 900)
            {
                heap.Set(timers[index], long.MaxValue);
                model.Remove(timers[index]);
            }
            else
            {
                heap.Set(timers[index], time);
                model[timers[index]] = time;
            }

            if (heap.Count != model.Count || heap.NextDueUs != model.Values.DefaultIfEmpty(long.MaxValue).Min())
                return false;
        }
        return model.All(entry => entry.Key.DueUs == entry.Value);
    }

    private sealed class Timer : LoopTimer
    {
        public override void OnDue(long nowUs)
        {
        }
    }
}
