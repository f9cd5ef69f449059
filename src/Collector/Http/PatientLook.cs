namespace NetdumpCollector.Collector.Http;

/// <summary>Looks at something that may hang, on one thread however many ask, and says nothing while it does.</summary>
/// <param name="look">The look.</param>
/// <param name="time">A result counts for a second.</param>
internal sealed class PatientLook<T>(Func<T> look, TimeProvider time)
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private Task<T>? _look;
    private long _begunAt;

    /// <summary>What was seen at most a second ago; the default where the look takes longer than a moment, or failed.</summary>
    public T? Value
    {
        get
        {
            Task<T> running;
            bool isNew = false;
            lock (_gate)
            {
                if (_look is null || (_look.IsCompleted && time.GetElapsedTime(_begunAt) >= s_freshness))
                {
                    _begunAt = time.GetTimestamp();
                    _look = Task.Run(look);
                    isNew = true;
                }

                running = _look;
            }

            // Only who began it waits: it hangs for everybody else as well.
            if (isNew)
                Task.WhenAny(running, Task.Delay(s_patience)).Wait(s_patience);
            return running.IsCompletedSuccessfully ? running.Result : default;
        }
    }
}
