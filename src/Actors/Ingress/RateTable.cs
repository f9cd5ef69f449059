using System.Numerics;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>How much of its rate each of many keys has used up, in memory of a fixed size.</summary>
/// <remarks>
/// A leaky bucket per key as one number (ITU-T I.371, "generic cell rate algorithm"): the time until which what was taken is paid for. A key whose time has passed is
/// as good as unknown, so entries need no clean-up. Where too many keys meet, the one with the least debt is forgotten: errors are in the key's favour.
/// </remarks>
internal sealed class RateTable
{
    private const long MinuteUs = 60_000_000;

    /// <summary>Entries that a key can be in.</summary>
    private const int Ways = 8;

    private readonly Entry[] _entries;
    private readonly ulong _seed;
    private readonly long _intervalUs;
    private readonly long _windowUs;
    private readonly int _setShift;

    /// <param name="perMinute">What a key may take at once, and then per minute; from 1 to 1,000,000.</param>
    /// <param name="capacity">Keys that are told apart, a power of two and at least 16.</param>
    /// <param name="seed">Of the hash.</param>
    public RateTable(int perMinute, int capacity, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(perMinute, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(perMinute, 1_000_000);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 2 * Ways);
        _entries = new Entry[(int)BitOperations.RoundUpToPowerOf2((uint)capacity)];
        _setShift = 64 - BitOperations.Log2((uint)_entries.Length / Ways);
        _seed = seed;
        _intervalUs = MinuteUs / perMinute;
        _windowUs = _intervalUs * perMinute;
    }

    private struct Entry
    {
        public uint Key;
        public long PaidUntilUs;
    }

    /// <summary>Whether the key has taken all that it may for now.</summary>
    public bool IsExhausted(uint key, long nowUs)
    {
        foreach (ref readonly var entry in SetOf(key))
        {
            if (entry.Key == key && entry.PaidUntilUs > nowUs)
                return entry.PaidUntilUs - nowUs > _windowUs - _intervalUs;
        }

        return false;
    }

    /// <summary>The key takes one that it may take.</summary>
    public void Take(uint key, long nowUs)
    {
        var set = SetOf(key);
        ref var chosen = ref set[0];
        foreach (ref var entry in set)
        {
            if (entry.Key == key && entry.PaidUntilUs > nowUs)
            {
                chosen = ref entry;
                break;
            }

            if (entry.PaidUntilUs < chosen.PaidUntilUs)
                chosen = ref entry;
        }

        if (chosen.Key != key || chosen.PaidUntilUs < nowUs)
            chosen = new() { Key = key, PaidUntilUs = nowUs };
        chosen.PaidUntilUs = Math.Min(chosen.PaidUntilUs + _intervalUs, nowUs + _windowUs);
    }

    private Span<Entry> SetOf(uint key)
    {
        // The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
        ulong hash = key ^ _seed;
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
        hash ^= hash >> 31;
        return _entries.AsSpan((int)(hash >> _setShift) * Ways, Ways);
    }
}
