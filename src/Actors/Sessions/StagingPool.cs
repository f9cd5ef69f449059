namespace NetdumpCollector.Actors.Sessions;

/// <summary>Staging areas that are not in use. Most recently used first, so that a slow file system with a thousand sessions touches little more memory than what is in flight.</summary>
internal sealed class StagingPool : IDisposable
{
    /// <summary>Kept for the next session; more are freed.</summary>
    private const int MaxKept = 64;

    private readonly Stack<Staging> _free = new();

    public Staging Rent()
    {
        lock (_free)
            return _free.TryPop(out var staging) ? staging : new();
    }

    /// <summary>Takes back what nobody reads any more.</summary>
    public void Return(Staging staging)
    {
        staging.Clear();
        lock (_free)
        {
            if (_free.Count < MaxKept)
            {
                _free.Push(staging);
                return;
            }
        }

        staging.Dispose();
    }

    public void Dispose()
    {
        lock (_free)
        {
            while (_free.TryPop(out var staging))
                staging.Dispose();
        }
    }
}
