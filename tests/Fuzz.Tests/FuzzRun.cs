namespace NetdumpCollector.Fuzz.Tests;

/// <summary>What one input did: how much our code allocated, and what was seen of where it went.</summary>
internal sealed class FuzzRun
{
    private readonly List<ulong> _features = [];
    private long _enteredBytes;

    /// <summary>Managed bytes that our code allocated between <see cref="Enter"/> and <see cref="Leave"/>.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>Stand for the ways the input took; an input with a new one is kept and mutated further.</summary>
    public IReadOnlyList<ulong> Features => _features;

    public void Reset()
    {
        _features.Clear();
        AllocatedBytes = 0;
    }

    public void Enter() => _enteredBytes = GC.GetAllocatedBytesForCurrentThread();

    public void Leave() => AllocatedBytes += GC.GetAllocatedBytesForCurrentThread() - _enteredBytes;

    /// <summary>Notes that something happened; the same numbers are the same feature in every run.</summary>
    public void Saw(int what, long a = 0, long b = 0, long c = 0)
    {
        ulong hash = (ulong)what + 0x9e3779b97f4a7c15;
        foreach (long value in (ReadOnlySpan<long>)[a, b, c])
        {
            hash = (hash ^ (ulong)value) * 0xbf58476d1ce4e5b9;
            hash ^= hash >> 29;
        }

        _features.Add(hash);
    }

    /// <summary>Notes a message, without the numbers and quoted values in it.</summary>
    public void Saw(int what, string text)
    {
        long hash = 0;
        bool isQuoted = false;
        foreach (char c in text)
        {
            isQuoted ^= c is '"' or '\'';
            if (!isQuoted && !char.IsAsciiDigit(c))
                hash = (hash * 31) + c;
        }

        Saw(what, hash);
    }

    /// <summary>A count's order of magnitude.</summary>
    public static int Bucket(long count) => count <= 0 ? 0 : 1 + System.Numerics.BitOperations.Log2((ulong)count);
}
