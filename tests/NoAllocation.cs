namespace NetdumpCollector;

/// <summary>That code allocates nothing on the thread that runs it.</summary>
internal static class NoAllocation
{
    /// <summary>
    /// What a thread can be told that it allocated although it did not, in bytes: when another thread causes a collection, the rest of this thread's allocation context (8 KiB) counts as used, once.
    /// </summary>
    public const long NoiseBytes = 8192;

    // Of the smallest object, 24 bytes: one for each run is three times the noise.
    private const int Runs = 1024;

    /// <summary>Runs <paramref name="step"/> once, so that it is compiled, and then so often that one object for each run would show.</summary>
    public static void In(Action step)
    {
        step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Runs; i++)
            step();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, NoiseBytes);
    }
}
