using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>The names of an ended dump's files, as netdumpd chooses them.</summary>
/// <remarks>Source: protocol.md, "Files and conventions of netdumpd".</remarks>
internal sealed record CoreNames
{
    public required string Host { get; init; }
    public required long Index { get; init; }
    public required string Core { get; init; }

    public string Info => $"info.{Host}.{Index}";
    public string Key => $"key.{Host}.{Index}";
    public string Manifest => $"dump.{Host}.{Index}.json";
    public string CoreLink => $"vmcore.{Host}.last";
    public string InfoLink => $"info.{Host}.last";

    public static string BoundsOf(string host) => $"bounds.{host}";

    /// <summary>Names for the dump <paramref name="summary"/> of <paramref name="host"/>, which must be fit for file names.</summary>
    public static CoreNames Of(DumpSummary summary, string host, long index)
    {
        var header = summary.Header is { IsValid: true } valid ? valid : null;
        string stem = Stem(encrypted: summary.Key is { IsEmpty: false } || header is { IsEncrypted: true });
        return new() { Host = host, Index = index, Core = $"{stem}.{host}.{index}{Suffix(header?.Compression)}" };
    }

    /// <summary>Every name that a dump of this index could have; one that exists takes the index.</summary>
    public IEnumerable<string> AllOfIndex()
    {
        yield return Manifest;
        yield return Info;
        yield return Key;
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
