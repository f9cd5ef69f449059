using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>Which bytes are compared of those that two parts have.</summary>
internal static class PartSamples
{
    /// <summary>Longest of them.</summary>
    public const int SampleBytes = 64 << 10;

    private const int Samples = 16;

    /// <summary>All of <paramref name="ranges"/> where that is at most a mebibyte, else samples from the first byte to the last.</summary>
    public static IEnumerable<ByteRange> Of(IReadOnlyList<ByteRange> ranges)
    {
        ulong total = RangeList.BytesOf(ranges);
        ulong step = total <= Samples * SampleBytes ? SampleBytes : (total - SampleBytes) / (Samples - 1);
        ulong next = 0;
        ulong before = 0;
        foreach (var range in ranges)
        {
            while (next < before + range.Length)
            {
                ulong start = range.Start + (next - before);
                ulong end = Math.Min(range.End, start + SampleBytes);
                yield return new(start, end);
                // Where all is compared, the next begins where this one ends.
                next += step == SampleBytes ? end - start : step;
            }

            before += range.Length;
        }
    }
}
