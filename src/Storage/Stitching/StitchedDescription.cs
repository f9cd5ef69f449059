using System.Text;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>How a dump is described that has bytes of other parts.</summary>
internal static class StitchedDescription
{
    private const string KeyIsMissing = "the dump is encrypted and its key did not arrive";

    /// <summary>The manifest of a dump that has <paramref name="held"/> by now.</summary>
    /// <param name="manifest">What it said before.</param>
    /// <param name="held">All bytes that are durable in the file.</param>
    /// <param name="damaged">Damaged ranges among those of other parts.</param>
    /// <param name="segments">What came from where.</param>
    /// <param name="fileBytes">The file's length.</param>
    /// <param name="hasKey">All of its key is there, where it is encrypted.</param>
    public static Manifest Of(Manifest manifest, Coverage held, IEnumerable<ByteRange> damaged, IReadOnlyList<ManifestSegment> segments, ulong fileBytes, bool hasKey)
    {
        ulong length = manifest.Kdh!.DumpLength;
        ByteRange[] missing = [.. held.Missing(length)];
        ByteRange[] unverified = [.. RangeList.Common([.. manifest.Unverified], missing)];
        ulong missingBytes = RangeList.BytesOf(missing);
        ByteRange[] allDamaged = [.. RangeList.ToCoverage([.. manifest.Damaged, .. damaged]).Ranges];
        bool isWhole = missing.Length == 0 && fileBytes == length && hasKey;
        return manifest with
        {
            Status = !isWhole ? DumpStatus.Incomplete : allDamaged.Length > 0 ? DumpStatus.Damaged : DumpStatus.Complete,
            Error = isWhole ? null : missing.Length == 0 && !hasKey ? KeyIsMissing : manifest.Error,
            Bytes = fileBytes,
            CoveredBytes = length - missingBytes,
            Missing = [.. missing.Take(DumpSummary.MaxListedRanges)],
            MissingBytes = missingBytes,
            MissingRanges = missing.Length,
            Damaged = [.. allDamaged.Take(DumpSummary.MaxListedRanges)],
            Unverified = unverified,
            UnverifiedBytes = manifest.UnverifiedRanges > manifest.Unverified.Count ? Math.Min(manifest.UnverifiedBytes, missingBytes) : RangeList.BytesOf(unverified),
            UnverifiedRanges = missing.Length == 0 ? 0 : Math.Max(unverified.Length, manifest.UnverifiedRanges > manifest.Unverified.Count ? 1 : 0),
            Epoch = DumpContinuation.EpochOf(manifest.Continues),
            Segments = segments,
        };
    }

    /// <summary>The text of the info file.</summary>
    public static byte[] InfoOf(Manifest manifest, string manifestName)
    {
        var summary = DumpSummary.Unknown(manifest.Reason, manifest.Error) with
        {
            Status = manifest.Status,
            Header = HeaderOf(manifest.Kdh!),
            LengthBytes = manifest.Bytes,
            CoveredBytes = manifest.CoveredBytes,
            Missing = manifest.Missing,
            MissingBytes = manifest.MissingBytes,
            MissingRanges = manifest.MissingRanges,
            Damaged = manifest.Damaged,
            Unverified = manifest.Unverified,
            UnverifiedBytes = manifest.UnverifiedBytes,
            UnverifiedRanges = manifest.UnverifiedRanges,
            Relocated = manifest.Relocated,
        };
        return Encoding.UTF8.GetBytes(InfoFile.Text(summary, manifest.Host, Ipv4.TryParse(manifest.Client, out var client) ? client : Ipv4.Any, manifestName, TimeZoneInfo.Local));
    }

    private static KernelDumpHeader HeaderOf(ManifestKdh kdh) => new()
    {
        Raw = default,
        Magic = kdh.Magic,
        Architecture = kdh.Architecture,
        Version = kdh.Version,
        ArchitectureVersion = kdh.ArchitectureVersion,
        DumpLength = kdh.DumpLength,
        DumpTime = kdh.DumpTime,
        DumpKeySize = kdh.DumpKeySize,
        BlockSize = kdh.BlockSize,
        // "none", "gzip", "zstd" or the number.
        Compression = Enum.TryParse<DumpCompression>(kdh.Compression, ignoreCase: true, out var compression) ? compression : DumpCompression.None,
        Hostname = kdh.Hostname,
        VersionString = kdh.VersionString,
        PanicString = kdh.PanicString,
        ParityPasses = kdh.ParityPasses,
    };
}
