using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>What must stay free on a file system: bytes, or a part of its size.</summary>
/// <param name="Bytes">A number of bytes, 0 for none.</param>
/// <param name="Percent">Per cent of the size, 0 for none; one of the two is 0.</param>
public readonly record struct MinFree(long Bytes, int Percent)
{
    public static MinFree None => default;

    public bool IsNone => Bytes == 0 && Percent == 0;

    /// <summary>What that is on a file system of <paramref name="totalBytes"/>.</summary>
    public long BytesOf(long totalBytes) => Percent == 0 ? Bytes : (long)((Int128)totalBytes * Percent / 100);

    /// <summary>As an operator writes it: <c>20G</c>, <c>5%</c>.</summary>
    public override string ToString() => Percent == 0 ? ByteSize.Write(Bytes) : string.Create(CultureInfo.InvariantCulture, $"{Percent}%");
}

/// <summary>What becomes of a new dump when less than <see cref="MinFree"/> is free.</summary>
public enum WhenFull
{
    /// <summary>Nothing of it is acked; it begins if space appears while its client still tries.</summary>
    Refuse,

    /// <summary>Only its first bytes are kept, which say what happened.</summary>
    Headers,

    /// <summary>The oldest dumps that retention may delete go; it begins when there is room.</summary>
    Delete,
}

/// <summary>What is to be done with a dump that wants to begin.</summary>
public enum HeadroomVerdict
{
    /// <summary>There is room: it is kept as far as other rules say.</summary>
    Ample,

    /// <summary>It is taken, and only its first bytes are kept.</summary>
    HeadersOnly,

    /// <summary>It does not begin now; room is to be made for it.</summary>
    MakeRoom,

    /// <summary>It does not begin now.</summary>
    Refused,
}

/// <summary>A file system has less room than must stay free.</summary>
/// <param name="Directory">Absolute path of the directory on it.</param>
/// <param name="Verdict">What is to be done with the dump.</param>
/// <param name="Words">What is missing, in words.</param>
public sealed record RoomShortage(string Directory, HeadroomVerdict Verdict, string Words);

/// <summary>Judges, before a dump begins, whether its file system has room, as savecore's minfree does. Thread-safe; may block on the device.</summary>
/// <param name="minFree">What must stay free.</param>
/// <param name="whenFull">What to do where it is not.</param>
/// <param name="spaceOf">Asks a file system by a directory on it; null where that does not say, which counts as ample: a dying host gets one chance.</param>
public sealed class Headroom(MinFree minFree, WhenFull whenFull, Func<string, FileSystemSpace?> spaceOf)
{
    /// <summary>Nothing must stay free.</summary>
    public static Headroom Unlimited { get; } = new(MinFree.None, WhenFull.Refuse, FileSystemSpace.Of);

    /// <summary>What is to be done with a dump whose files would lie in <paramref name="directory"/>.</summary>
    /// <param name="directory">Absolute path; its own file system counts, not the dump directory's.</param>
    /// <returns>What is missing, or null when there is room.</returns>
    public RoomShortage? Judge(string directory)
    {
        if (MissingBytes(directory, out var space, out long wantedBytes) == 0)
            return null;

        string words = string.Create(CultureInfo.InvariantCulture, $"{Words(space.FreeBytes)} are free on the file system of {directory}, and {Words(wantedBytes)} have to be (--min-free {minFree})");
        return new(directory, whenFull switch
        {
            WhenFull.Headers => HeadroomVerdict.HeadersOnly,
            WhenFull.Delete => HeadroomVerdict.MakeRoom,
            _ => HeadroomVerdict.Refused,
        }, words);
    }

    /// <summary>Most that is left to running dumps, also where nothing must stay free (1 GiB); on small file systems it is one per cent.</summary>
    private const long MostLeftBytes = 1L << 30;

    /// <summary>Whether a file in <paramref name="directory"/> may grow by <paramref name="bytes"/>: what arrives goes before what is only brought here.</summary>
    /// <returns>What is missing, in words, or null when there is room.</returns>
    public string? JudgeGrowth(string directory, ulong bytes)
    {
        if (Judge(directory) is { } shortage)
            return shortage.Words;
        if (spaceOf(directory) is not FileSystemSpace space)
            return null;
        long left = Math.Min(MostLeftBytes, space.TotalBytes / 100);
        return (UInt128)bytes + (UInt128)left <= (UInt128)space.FreeBytes ? null
            : string.Create(CultureInfo.InvariantCulture, $"{Words(space.FreeBytes)} are free on the file system of {directory}, {bytes} bytes are still to be fetched, and {Words(left)} are left to dumps that arrive; make room there");
    }

    /// <summary>What would have to become free on the file system of <paramref name="directory"/>, 0 when there is room.</summary>
    public long MissingBytes(string directory) => MissingBytes(directory, out _, out _);

    /// <summary>What is free on the file system of <paramref name="directory"/>; null where that does not say.</summary>
    public long? FreeBytes(string directory) => spaceOf(directory)?.FreeBytes;

    private static string Words(long bytes)
    {
        string exact = string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes");
        return bytes < 1024 ? exact : $"{ByteSize.Format(bytes)} ({exact})";
    }

    private long MissingBytes(string directory, out FileSystemSpace space, out long wantedBytes)
    {
        space = default;
        wantedBytes = 0;
        if (minFree.IsNone || spaceOf(directory) is not FileSystemSpace known)
            return 0;

        space = known;
        wantedBytes = minFree.BytesOf(known.TotalBytes);
        return Math.Max(0, wantedBytes - known.FreeBytes);
    }
}
