namespace NetdumpCollector.Actors.Runtime;

/// <summary>A message that carries something which must be given back when nobody takes it.</summary>
public interface IOwningMessage
{
    /// <summary>The message became a dead letter.</summary>
    void OnDeadLetter();
}

/// <summary>Counts messages nobody took and hands them to an observer.</summary>
public sealed class DeadLetters(Action<string, object>? observer)
{
    private long _count;

    public long Count => Interlocked.Read(ref _count);

    internal void Add(string path, object message)
    {
        Interlocked.Increment(ref _count);
        (message as IOwningMessage)?.OnDeadLetter();
        observer?.Invoke(path, message);
    }
}
