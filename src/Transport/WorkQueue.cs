using System.Diagnostics.CodeAnalysis;

namespace NetdumpCollector.Transport;

/// <summary>Work on its way from any thread to one loop.</summary>
/// <param name="wake">Interrupts the loop's wait; called only before <see cref="Close"/> has returned.</param>
/// <remarks>
/// <see cref="Post"/>, <see cref="Wake"/> and <see cref="Close"/> may be called from any thread, the rest belongs to the loop.
/// The wake-up happens under the lock: a descriptor that the loop closes after <see cref="Close"/> can have been
/// handed to somebody else, and a late wake-up would be written into their file.
/// </remarks>
internal sealed class WorkQueue(Action wake)
{
    private readonly Lock _gate = new();
    private List<ILoopWork> _posted = [];
    private List<ILoopWork> _running = [];
    private int _next;
    private volatile bool _hasPosted;
    private bool _closed;

    /// <summary>Something is waiting to be run.</summary>
    public bool HasWork => _next < _running.Count || _hasPosted;

    /// <summary>Queues <paramref name="work"/>; false once the queue is closed.</summary>
    public bool Post(ILoopWork work)
    {
        lock (_gate)
        {
            if (_closed)
                return false;

            _posted.Add(work);
            _hasPosted = true;
            // Later posts are found by the round that this one starts.
            if (_posted.Count == 1)
                wake();
            return true;
        }
    }

    /// <summary>Interrupts the loop's wait unless the queue is closed.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            if (!_closed)
                wake();
        }
    }

    /// <summary>Refuses all later posts; what was posted before can still be taken.</summary>
    public void Close()
    {
        lock (_gate)
            _closed = true;
    }

    /// <summary>Makes what has been posted available to <see cref="TryTake"/>; what is posted from now on waits for the next round.</summary>
    public void BeginRound()
    {
        if (_next < _running.Count || !_hasPosted)
            return;

        _running.Clear();
        _next = 0;
        lock (_gate)
        {
            (_running, _posted) = (_posted, _running);
            _hasPosted = false;
        }
    }

    /// <summary>Takes the next item of this round.</summary>
    public bool TryTake([NotNullWhen(true)] out ILoopWork? work)
    {
        work = null;
        if (_next == _running.Count)
            return false;

        work = _running[_next];
        _running[_next++] = null!;
        return true;
    }
}
