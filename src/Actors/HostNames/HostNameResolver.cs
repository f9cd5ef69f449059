using System.Net;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.HostNames;

/// <summary>Finds the host name that a dump's files are named after: the operator's map, else reverse DNS, else the address.</summary>
/// <remarks>
/// A dump never waits for DNS longer than the deadline; a late answer still goes into the cache. At most <see cref="MaxLookups"/> lookups run at a time, each on a thread of its
/// own, because the system's resolver blocks and must not take the thread pool with it.
/// </remarks>
public sealed class HostNameResolver : IDisposable
{
    public const int MaxLookups = 64;
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan s_foundLifetime = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_notFoundLifetime = TimeSpan.FromSeconds(60);

    private readonly HostMap _map;
    private readonly TimeProvider _time;
    private readonly TimeSpan _deadline;
    private readonly Func<Ipv4, Task<string?>> _lookUp;
    private readonly int _maxCached;
    private readonly SemaphoreSlim _slots = new(MaxLookups);
    private readonly Lock _lock = new();
    private readonly Dictionary<Ipv4, Task<string>> _running = [];
    private readonly Dictionary<Ipv4, Answer> _cache = [];
    private readonly Queue<Ipv4> _cacheOrder = [];

    public HostNameResolver(HostMap map, TimeProvider time, TimeSpan deadline)
        : this(map, time, deadline, LookUpInDns, maxCached: 65536)
    {
    }

    /// <param name="map">Names that need no DNS.</param>
    /// <param name="time">The clock of deadline and cache.</param>
    /// <param name="deadline">Longest time that a caller waits.</param>
    /// <param name="lookUp">Reverse DNS: the full name, or null when there is none. May throw.</param>
    /// <param name="maxCached">Answers that are kept; the oldest goes first.</param>
    internal HostNameResolver(HostMap map, TimeProvider time, TimeSpan deadline, Func<Ipv4, Task<string?>> lookUp, int maxCached)
    {
        _map = map;
        _time = time;
        _deadline = deadline;
        _lookUp = lookUp;
        _maxCached = maxCached;
    }

    private readonly record struct Answer(string Name, long SinceTimestamp, TimeSpan Lifetime);

    /// <summary>The host's name, fit for file names; its dotted address when there is no other or it does not come in time. Never fails.</summary>
    public async Task<string> ResolveAsync(Ipv4 address)
    {
        if (_map.Find(address) is string mapped)
            return mapped;

        Task<string> lookup;
        lock (_lock)
        {
            if (_cache.TryGetValue(address, out var answer) && _time.GetElapsedTime(answer.SinceTimestamp) < answer.Lifetime)
                return answer.Name;
            if (!_running.TryGetValue(address, out lookup!))
            {
                // The lookup ends by taking itself off the list, which must not happen before it is on it.
                var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _running.Add(address, lookup = LookUpAsync(address, start.Task));
                start.SetResult();
            }
        }

        try
        {
            return await lookup.WaitAsync(_deadline, _time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return address.ToString();
        }
    }

    public void Dispose() => _slots.Dispose();

    private async Task<string> LookUpAsync(Ipv4 address, Task start)
    {
        await start.ConfigureAwait(false);
        string? name = null;
        try
        {
            // Whoever asked has left after the deadline; a lookup that got no slot by then is not worth making.
            if (!await WaitForSlotAsync().ConfigureAwait(false))
                return Forget(address);

            try
            {
                name = await _lookUp(address).ConfigureAwait(false);
            }
            finally
            {
                _slots.Release();
            }
        }
        catch (Exception)
        {
            // Whatever the resolver throws means that there is no name now.
        }

        return Remember(address, name);
    }

    private async Task<bool> WaitForSlotAsync()
    {
        using var expired = new CancellationTokenSource(_deadline, _time);
        try
        {
            await _slots.WaitAsync(expired.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private string Forget(Ipv4 address)
    {
        lock (_lock)
            _running.Remove(address);
        return address.ToString();
    }

    private string Remember(Ipv4 address, string? fullName)
    {
        string? label = fullName?.Split('.', 2)[0];
        // A resolver that only gives the address back has found nothing.
        bool found = !string.IsNullOrEmpty(label) && !IPAddress.TryParse(fullName, out _);
        string name = found ? HostFileName.From(label!) : address.ToString();
        lock (_lock)
        {
            _running.Remove(address);
            if (_cache.TryAdd(address, default))
                _cacheOrder.Enqueue(address);
            _cache[address] = new(name, _time.GetTimestamp(), found ? s_foundLifetime : s_notFoundLifetime);
            if (_cache.Count > _maxCached)
                _cache.Remove(_cacheOrder.Dequeue());
        }

        return name;
    }

    private static Task<string?> LookUpInDns(Ipv4 address) =>
        Task.Factory.StartNew(() => ReverseLookup.NameOf(address), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
