namespace NetdumpCollector.Protocol.Minidump;

/// <summary>Bounds what all <see cref="PanicPeek"/>s together take of memory, because any client can start one. Safe for use by many threads.</summary>
/// <param name="maxBytes">So much they may take at a time.</param>
public sealed class PeekMemory(long maxBytes = PeekMemory.DefaultBytes)
{
    public const long DefaultBytes = 64 << 20;

    private long _takenBytes;

    /// <summary>Bytes that are taken at the moment.</summary>
    public long TakenBytes => Interlocked.Read(ref _takenBytes);

    /// <summary>Takes memory; false, and nothing is taken, where there is not enough.</summary>
    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref _takenBytes, bytes) <= maxBytes)
            return true;
        GiveBack(bytes);
        return false;
    }

    public void GiveBack(long bytes) => Interlocked.Add(ref _takenBytes, -bytes);
}
