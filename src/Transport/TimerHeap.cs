using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace NetdumpCollector.Transport;

/// <summary>The armed timers of one loop, earliest first.</summary>
/// <remarks>A binary heap in which every timer knows its place, so that arming, moving and disarming search nothing and, once the heap has grown, allocate nothing.</remarks>
internal sealed class TimerHeap
{
    private LoopTimer[] _timers = new LoopTimer[64];

    public int Count { get; private set; }

    /// <summary>When the earliest timer is due, <see cref="long.MaxValue"/> when none is armed.</summary>
    public long NextDueUs => Count > 0 ? _timers[0].DueUs : long.MaxValue;

    /// <summary>Arms, moves or, with <see cref="long.MaxValue"/>, disarms <paramref name="timer"/>.</summary>
    public void Set(LoopTimer timer, long dueUs)
    {
        Debug.Assert(timer.HeapIndex < 0 || (timer.HeapIndex < Count && _timers[timer.HeapIndex] == timer), "the timer is armed on another loop");

        if (dueUs == long.MaxValue)
        {
            if (timer.HeapIndex >= 0)
                Remove(timer);
            return;
        }

        timer.DueUs = dueUs;
        if (timer.HeapIndex < 0)
        {
            if (Count == _timers.Length)
                Array.Resize(ref _timers, 2 * Count);
            timer.HeapIndex = Count++;
        }

        SiftUp(timer);
        SiftDown(timer);
    }

    /// <summary>Takes the earliest timer out when it is due.</summary>
    public bool TryTakeDue(long nowUs, [NotNullWhen(true)] out LoopTimer? timer)
    {
        timer = null;
        if (NextDueUs > nowUs)
            return false;

        timer = _timers[0];
        Remove(timer);
        return true;
    }

    /// <summary>Disarms all.</summary>
    public void Clear()
    {
        while (Count > 0)
            Remove(_timers[Count - 1]);
    }

    private void Remove(LoopTimer timer)
    {
        int hole = timer.HeapIndex;
        LoopTimer last = _timers[--Count];
        _timers[Count] = null!;
        timer.HeapIndex = -1;
        timer.DueUs = long.MaxValue;

        if (last != timer)
        {
            last.HeapIndex = hole;
            SiftUp(last);
            SiftDown(last);
        }
    }

    private void SiftUp(LoopTimer timer)
    {
        int index = timer.HeapIndex;
        while (index > 0)
        {
            int parent = (index - 1) / 2;
            if (_timers[parent].DueUs <= timer.DueUs)
                break;
            Place(_timers[parent], index);
            index = parent;
        }
        Place(timer, index);
    }

    private void SiftDown(LoopTimer timer)
    {
        int index = timer.HeapIndex;
        while (2 * index + 1 < Count)
        {
            int child = 2 * index + 1;
            if (child + 1 < Count && _timers[child + 1].DueUs < _timers[child].DueUs)
                child++;
            if (_timers[child].DueUs >= timer.DueUs)
                break;
            Place(_timers[child], index);
            index = child;
        }
        Place(timer, index);
    }

    private void Place(LoopTimer timer, int index)
    {
        _timers[index] = timer;
        timer.HeapIndex = index;
    }
}
