using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>Which bytes of a dump a part has, by its manifest; what that leaves open counts as missing.</summary>
internal static class PartRanges
{
    /// <summary>The bytes that the part vouches for.</summary>
    public static Coverage HeldBy(Manifest manifest)
    {
        // Nobody knows what of it is in the file.
        if (manifest.Reason == EndReason.WriteError)
            return new();

        // Whatever another node says: no file has an offset beyond that.
        ulong end = Math.Min(Math.Min(manifest.Bytes, long.MaxValue), manifest.Kdh is { Valid: true } kdh ? kdh.DumpLength : SaturatedSum(manifest.CoveredBytes, manifest.MissingBytes));
        // Holes behind the last one that is listed may be anywhere.
        if (manifest.MissingRanges > manifest.Missing.Count)
            end = Math.Min(end, manifest.Missing.Count == 0 ? 0 : manifest.Missing[^1].End);
        var missing = RangeList.ToCoverage(manifest.Missing);
        // The first burst lies where it belongs and, until the dump has come there, where it came as well: behind the first hole.
        return RangeList.ToCoverage(manifest.Relocated ? missing.Missing(end).Take(1).Where(range => range.Start == 0) : missing.Missing(end));
    }

    /// <summary>What of <paramref name="wanted"/> the parts have, the first of them first; in order of offsets, with the part's index.</summary>
    public static List<(ByteRange Range, int Part)> Plan(IReadOnlyList<ByteRange> wanted, IReadOnlyList<Manifest> parts)
    {
        var plan = new List<(ByteRange Range, int Part)>();
        ByteRange[] left = [.. wanted];
        for (int i = 0; i < parts.Count && left.Length > 0; i++)
        {
            var held = HeldBy(parts[i]).Ranges;
            int part = i;
            plan.AddRange(RangeList.Common(left, held).Select(range => (range, part)));
            left = [.. RangeList.Except(left, held)];
        }

        plan.Sort((a, b) => a.Range.Start.CompareTo(b.Range.Start));
        return plan;
    }

    private static ulong SaturatedSum(ulong a, ulong b) => a > ulong.MaxValue - b ? ulong.MaxValue : a + b;
}
