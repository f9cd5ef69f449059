using System.Net;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.HostNames;

/// <summary>Finds the host name that a dump's files are named after: the operator's map, else reverse DNS, else the address.</summary>
/// <remarks>
/// At most <see cref="MaxLookups"/> lookups run at a time, on threads of their own that stay, because the system's resolver blocks and a thread per dump costs more than the lookup.
/// A dump waits for its name no longer than <see cref="Deadline"/>; a late answer still goes into the cache.
/// </remarks>
public sealed class HostNameResolver : IDisposable
{
    public const int MaxLookups = 32;
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan s_foundLifetime = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_notFoundLifetime = TimeSpan.FromSeconds(60);

    private readonly HostMap _map;
    private readonly TimeProvider _time;
    private readonly Func<Ipv4, string?> _lookUp;
    private readonly int _maxCached;
    private readonly ThreadDispatcher _threads = new("names", MaxLookups);
    private readonly Lock _lock = new();
    private readonly Dictionary<Ipv4, Lookup> _running = [];
    private readonly Dictionary<Ipv4, Answer> _cache = [];
    private readonly Queue<Ipv4> _cacheOrder = [];

    public HostNameResolver(HostMap map, TimeProvider time, TimeSpan deadline)
        : this(map, time, deadline, ReverseLookup.NameOf, maxCached: 65536)
    {
    }

    /// <param name="map">Names that need no DNS.</param>
    /// <param name="time">The clock of deadline and cache.</param>
    /// <param name="deadline">Longest time that a dump waits.</param>
    /// <param name="lookUp">Reverse DNS: the full name, or null when there is none. May block and throw.</param>
    /// <param name="maxCached">Answers that are kept; the oldest goes first.</param>
    internal HostNameResolver(HostMap map, TimeProvider time, TimeSpan deadline, Func<Ipv4, string?> lookUp, int maxCached)
    {
        _map = map;
        _time = time;
        Deadline = deadline;
        _lookUp = lookUp;
        _maxCached = maxCached;
    }

    private readonly record struct Answer(string Name, long SinceTimestamp, TimeSpan Lifetime);

    /// <summary>Longest time that a dump waits for its name.</summary>
    public TimeSpan Deadline { get; }

    /// <summary>The host's name, fit for file names; its dotted address when there is no other. Never fails, but may be as late as the system's resolver is.</summary>
    public Task<string> Resolve(Ipv4 address)
    {
        if (_map.Find(address) is string mapped)
            return Task.FromResult(mapped);

        lock (_lock)
        {
            if (_cache.TryGetValue(address, out var answer) && _time.GetElapsedTime(answer.SinceTimestamp) < answer.Lifetime)
                return Task.FromResult(answer.Name);
            if (_running.TryGetValue(address, out var lookup))
                return lookup.Name;

            _running.Add(address, lookup = new(this, address));
            _threads.Execute(lookup);
            return lookup.Name;
        }
    }

    public void Dispose() => _threads.Dispose();

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

    /// <summary>One address that is being asked for.</summary>
    private sealed class Lookup(HostNameResolver resolver, Ipv4 address) : ILoopWork
    {
        private readonly TaskCompletionSource<string> _name = new();
        private readonly long _since = resolver._time.GetTimestamp();

        public Task<string> Name => _name.Task;

        public void Run()
        {
            // Whoever asked has left after the deadline; a lookup that got no thread by then is not worth making.
            _name.SetResult(resolver._time.GetElapsedTime(_since) < resolver.Deadline ? resolver.Remember(address, FullName()) : resolver.Forget(address));
        }

        private string? FullName()
        {
            try
            {
                return resolver._lookUp(address);
            }
            catch (Exception)
            {
                // Whatever the resolver throws means that there is no name now.
                return null;
            }
        }
    }
}
