namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What became of the calls to a store, for all who use it: whoever finds that it does not work waits, and all wait together. Thread-safe; sans-I/O.</summary>
/// <param name="time">The clock.</param>
/// <param name="tell">Told of the first failure, of another kind of it, of one every <see cref="TellEvery"/>, and of the first success after it (null).</param>
public sealed class StoreHealth(TimeProvider time, Action<ObjectStoreException?> tell)
{
    /// <summary>How often a failure that lasts is told of.</summary>
    public static readonly TimeSpan TellEvery = TimeSpan.FromMinutes(10);

    /// <summary>First wait; each is twice the one before.</summary>
    public static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);

    /// <summary>Longest wait.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private StoreFailure? _failing;
    private long _toldAt;
    private long _nextTry;
    private TimeSpan _wait;

    /// <summary>The last call did what it was to do; null before the first.</summary>
    public bool? IsUp { get; private set; }

    /// <summary>How long to wait before the store is tried again.</summary>
    public TimeSpan Wait
    {
        get
        {
            lock (_gate)
                return _failing is null ? TimeSpan.Zero : TimeSpan.FromTicks(Math.Max(0, (_nextTry - time.GetTimestamp()) * TimeSpan.TicksPerSecond / time.TimestampFrequency));
        }
    }

    public void Succeeded()
    {
        lock (_gate)
        {
            bool wasFailing = _failing is not null;
            IsUp = true;
            _failing = null;
            _wait = TimeSpan.Zero;
            if (wasFailing)
                tell(null);
        }
    }

    public void Failed(ObjectStoreException problem)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            IsUp = false;
            // Several that fail at the same time are one failure.
            if (_failing is null || now >= _nextTry)
            {
                _wait = _failing is null ? FirstWait : TimeSpan.FromTicks(Math.Min(2 * _wait.Ticks, LongestWait.Ticks));
                _nextTry = now + (long)(_wait.TotalSeconds * time.TimestampFrequency);
            }

            if (_failing != problem.Failure || time.GetElapsedTime(_toldAt, now) >= TellEvery)
            {
                _toldAt = now;
                tell(problem);
            }

            _failing = problem.Failure;
        }
    }
}

/// <summary>A store that is waited for: each call is made until the store has done or answered it.</summary>
/// <param name="store">The store.</param>
/// <param name="health">What became of the calls of all.</param>
/// <param name="failed">Told of each failure.</param>
/// <param name="wait">Waits; throws where that is to end.</param>
public sealed class PatientStore(IObjectStore store, StoreHealth health, Action<StoreFailure> failed, Action<TimeSpan> wait) : IObjectStore
{
    /// <summary>What goes wrong so often with one thing, while nothing else does, is not the store.</summary>
    private const int MaxOwnFailures = 5;

    public void Probe() => Do(() => { store.Probe(); return true; });

    public ObjectHead? Head(string key) => Do(() => store.Head(key));

    public (byte[] Content, string ETag)? ReadSmall(string key, long maxBytes) => Do(() => store.ReadSmall(key, maxBytes));

    public Stream Read(string key, long offset, string eTag) => Do(() => store.Read(key, offset, eTag));

    public bool Put(string key, ReadOnlyMemory<byte> content, string? replacing) => Do(() => store.Put(key, content, replacing));

    public void Delete(string key) => Do(() => { store.Delete(key); return true; });

    public string BeginUpload(string key) => Do(() => store.BeginUpload(key));

    public string? UploadPart(string key, string uploadId, int number, ReadOnlyMemory<byte> content, byte[] md5) => Do(() => store.UploadPart(key, uploadId, number, content, md5));

    public IReadOnlyList<UploadedPart>? PartsOf(string key, string uploadId) => Do(() => store.PartsOf(key, uploadId));

    public string? CompleteUpload(string key, string uploadId, IReadOnlyList<UploadedPart> parts) => Do(() => store.CompleteUpload(key, uploadId, parts));

    public void AbortUpload(string key, string uploadId) => Do(() => { store.AbortUpload(key, uploadId); return true; });

    public IEnumerable<ListedUpload> Uploads(string prefix) => Do(() => store.Uploads(prefix).ToArray());

    public IEnumerable<string> Keys(string prefix) => Do(() => store.Keys(prefix).ToArray());

    public void Dispose() => store.Dispose();

    private T Do<T>(Func<T> call)
    {
        int ownFailures = 0;
        while (true)
        {
            while (health.Wait is { Ticks: > 0 } left)
                wait(left);
            try
            {
                var result = call();
                health.Succeeded();
                return result;
            }
            catch (ObjectStoreException e)
            {
                failed(e.Failure);
                health.Failed(e);
                if (e.Failure is StoreFailure.Checksum or StoreFailure.Other && ++ownFailures == MaxOwnFailures)
                    throw;
            }
        }
    }
}
