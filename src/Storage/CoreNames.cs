using System.Globalization;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>The names of an ended dump's files, as netdumpd chooses them.</summary>
/// <remarks>Source: protocol.md, "Files and conventions of netdumpd".</remarks>
internal sealed record CoreNames
{
    public required string Host { get; init; }
    public required long Index { get; init; }
    public required string Core { get; init; }

    public string Info => InfoOf(Host, Index);
    public string Key => $"key.{Host}.{Index}";
    public string Manifest => $"dump.{Host}.{Index}.json";
    public string CoreLink => LinksOf(Host).Core;
    public string InfoLink => LinksOf(Host).Info;

    /// <summary>What follows a manifest's name while its dump is being deleted; see <see cref="DumpRemoval"/>.</summary>
    public const string HiddenSuffix = ".deleted";

    public static (string Core, string Info) LinksOf(string host) => ($"vmcore.{host}.last", $"info.{host}.last");

    public static string InfoOf(string host, long index) => string.Create(CultureInfo.InvariantCulture, $"info.{host}.{index}");

    public static string BoundsOf(string host) => $"bounds.{host}";

    /// <summary>The index of <paramref name="host"/>'s dump whose data file has this name; null when it is none.</summary>
    public static long? IndexOf(string coreName, string host)
    {
        foreach (bool encrypted in (ReadOnlySpan<bool>)[false, true])
        {
            string prefix = $"{Stem(encrypted)}.{host}.";
            if (!coreName.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            foreach (var compression in Enum.GetValues<DumpCompression>())
            {
                string suffix = Suffix(compression);
                if (coreName.EndsWith(suffix, StringComparison.Ordinal) && coreName.Length > prefix.Length + suffix.Length
                    && long.TryParse(coreName.AsSpan(prefix.Length, coreName.Length - prefix.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long index))
                    return index;
            }
        }

        return null;
    }

    /// <summary>Names for the dump <paramref name="summary"/> of <paramref name="host"/>, which must be fit for file names.</summary>
    public static CoreNames Of(DumpSummary summary, string host, long index)
    {
        var header = summary.Header is { IsValid: true } valid ? valid : null;
        string stem = Stem(encrypted: summary.Key is { IsEmpty: false } || header is { IsEncrypted: true });
        return new() { Host = host, Index = index, Core = $"{stem}.{host}.{index}{Suffix(header?.Compression)}" };
    }

    /// <summary>The names that a commit noted; null where they are none of this program's.</summary>
    public static CoreNames? OfManifest(LedgerRecord.Committing committing)
    {
        const string Prefix = "dump.", Suffix = ".json";
        string manifest = committing.Manifest;
        int dot = manifest.Length > Suffix.Length ? manifest.LastIndexOf('.', manifest.Length - Suffix.Length - 1) : -1;
        return dot > Prefix.Length && manifest.StartsWith(Prefix, StringComparison.Ordinal) && manifest.EndsWith(Suffix, StringComparison.Ordinal)
            && long.TryParse(manifest.AsSpan(dot + 1, manifest.Length - Suffix.Length - dot - 1), NumberStyles.None, CultureInfo.InvariantCulture, out long index)
            ? new() { Host = manifest[Prefix.Length..dot], Index = index, Core = committing.Core }
            : null;
    }

    /// <summary>Every name that a dump of this index could have; one that exists takes the index.</summary>
    public IEnumerable<string> AllOfIndex() => [Manifest, Manifest + HiddenSuffix, Info, Key, .. CoresOfIndex()];

    /// <summary>Every name that the data of a dump of this index could have.</summary>
    public IEnumerable<string> CoresOfIndex()
    {
        foreach (var compression in Enum.GetValues<DumpCompression>())
        {
            yield return $"{Stem(encrypted: false)}.{Host}.{Index}{Suffix(compression)}";
            yield return $"{Stem(encrypted: true)}.{Host}.{Index}{Suffix(compression)}";
        }
    }

    private static string Stem(bool encrypted) => encrypted ? "vmcore_encrypted" : "vmcore";

    private static string Suffix(DumpCompression? compression) => compression switch
    {
        DumpCompression.Gzip => ".gz",
        DumpCompression.Zstd => ".zst",
        _ => "",
    };
}
