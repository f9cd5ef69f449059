namespace NetdumpCollector.Fuzz.Tests;

/// <summary>Code of ours that takes bytes which strangers, or a disk, may have made.</summary>
internal abstract class FuzzTarget : IDisposable
{
    public abstract string Name { get; }

    /// <summary>Inputs of a run in test.sh: about a second.</summary>
    public abstract int TestInputs { get; }

    public virtual int MaxInputBytes => 4096;

    /// <summary>Pieces are cut and copied in multiples of this many bytes.</summary>
    public virtual int UnitBytes => 1;

    /// <summary>Words that mean something to the code.</summary>
    public virtual IReadOnlyList<byte[]> Words => [];

    /// <summary>Managed bytes that an input of so many bytes may make our code allocate.</summary>
    public abstract long MostAllocatedBytes(int inputBytes);

    /// <summary>Good and interesting inputs to begin with.</summary>
    public abstract IEnumerable<byte[]> Seeds();

    /// <summary>Makes checksums and lengths right again, so that what lies behind them is reached.</summary>
    public virtual void Repair(Span<byte> input)
    {
    }

    /// <summary>Gives the input to the code. An exception is a failure.</summary>
    public abstract void Run(ReadOnlySpan<byte> input, FuzzRun run);

    public void Dispose() => Close();

    /// <summary>Removes what the target made.</summary>
    protected virtual void Close()
    {
    }

    protected static void Check(bool holds, string what)
    {
        if (!holds)
            throw new BrokenException(what);
    }

    protected static byte[] Golden(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Golden", name));

    /// <summary>The files of the corpus whose names begin with <paramref name="prefix"/>.</summary>
    protected static IEnumerable<byte[]> Corpus(string prefix) =>
        Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Corpus"), prefix + "*").Order(StringComparer.Ordinal).Select(File.ReadAllBytes);

    /// <summary>Our code did what it must never do.</summary>
    internal sealed class BrokenException(string message) : Exception(message);
}
