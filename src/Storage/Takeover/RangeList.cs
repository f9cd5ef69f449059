using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage;

/// <summary>Arithmetic of sorted ranges that do not overlap.</summary>
internal static class RangeList
{
    /// <summary>What of <paramref name="ranges"/> is not in <paramref name="taken"/>.</summary>
    public static List<ByteRange> Except(ReadOnlySpan<ByteRange> ranges, ReadOnlySpan<ByteRange> taken)
    {
        var left = new List<ByteRange>();
        int next = 0;
        foreach (var range in ranges)
        {
            ulong at = range.Start;
            while (next < taken.Length && taken[next].End <= at)
                next++;
            for (int i = next; i < taken.Length && taken[i].Start < range.End; i++)
            {
                if (taken[i].Start > at)
                    left.Add(new(at, taken[i].Start));
                at = Math.Max(at, taken[i].End);
            }

            if (at < range.End)
                left.Add(new(at, range.End));
        }

        return left;
    }

    /// <summary>What <paramref name="ranges"/> and <paramref name="others"/> have in common.</summary>
    public static List<ByteRange> Common(ReadOnlySpan<ByteRange> ranges, ReadOnlySpan<ByteRange> others)
    {
        var common = new List<ByteRange>();
        int next = 0;
        foreach (var range in ranges)
        {
            while (next < others.Length && others[next].End <= range.Start)
                next++;
            for (int i = next; i < others.Length && others[i].Start < range.End; i++)
                common.Add(new(Math.Max(range.Start, others[i].Start), Math.Min(range.End, others[i].End)));
        }

        return common;
    }

    /// <summary>The first range that ends behind <paramref name="offset"/>: it has the byte there, or is the next one. Its index, or the number of ranges.</summary>
    public static int IndexAt(ReadOnlySpan<ByteRange> ranges, ulong offset)
    {
        int low = 0, high = ranges.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (ranges[middle].End <= offset)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    public static Coverage ToCoverage(IEnumerable<ByteRange> ranges)
    {
        var coverage = new Coverage();
        foreach (var range in ranges)
            coverage.Add(range.Start, range.End);
        return coverage;
    }

    public static ulong BytesOf(IEnumerable<ByteRange> ranges) => ranges.Aggregate(0ul, (sum, range) => sum + range.Length);
}
