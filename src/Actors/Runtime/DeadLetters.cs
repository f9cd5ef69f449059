namespace NetdumpCollector.Actors.Runtime;

/// <summary>Counts messages nobody took and hands them to an observer.</summary>
public sealed class DeadLetters(Action<string, object>? observer)
{
    private long _count;

    public long Count => Interlocked.Read(ref _count);

    internal void Add(string path, object message)
    {
        Interlocked.Increment(ref _count);
        observer?.Invoke(path, message);
    }
}
