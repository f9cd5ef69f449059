using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>Where actors run: an event loop, or a few threads that may block.</summary>
public interface IDispatcher
{
    /// <summary>The calling thread is the one all actors of this dispatcher run on; never true where there are several.</summary>
    bool IsCurrent { get; }

    /// <summary>The calling thread was the event loop's until a call held it up; what it is inside of is finished, nothing more is begun.</summary>
    bool HasMovedOn { get; }

    /// <summary>Monotonic time in microseconds, the same for all dispatchers of a process but for how often it is read.</summary>
    long NowUs { get; }

    /// <summary>Runs <paramref name="work"/> soon; work of one actor is queued once at a time.</summary>
    void Execute(ILoopWork work);

    /// <summary>Makes a disarmed timer that calls <paramref name="onDue"/>, on the dispatcher or any other thread.</summary>
    IActorTimer CreateTimer(Action onDue);
}

/// <summary>A timer of one actor; arming it again moves it.</summary>
public interface IActorTimer
{
    /// <summary>Fires at <paramref name="dueUs"/> on the dispatcher's clock; <see cref="long.MaxValue"/> disarms.</summary>
    void Arm(long dueUs);
}
