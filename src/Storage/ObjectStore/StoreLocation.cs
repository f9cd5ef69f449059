using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>A bucket and what all keys in it begin with: <c>s3://bucket/prefix</c>.</summary>
/// <param name="Bucket">The bucket.</param>
/// <param name="Prefix">Empty, or ends with a slash.</param>
public sealed record StoreLocation(string Bucket, string Prefix)
{
    private const string Scheme = "s3://";
    private const int LongestPrefix = 512;

    /// <summary>Reads <c>s3://bucket</c> or <c>s3://bucket/prefix</c>.</summary>
    /// <remarks>Source of what a bucket may be called: Amazon S3 User Guide, "General purpose bucket naming rules"; radosgw holds to the same.</remarks>
    public static bool TryParse(string text, [NotNullWhen(true)] out StoreLocation? location)
    {
        location = null;
        if (!text.StartsWith(Scheme, StringComparison.Ordinal))
            return false;

        string rest = text[Scheme.Length..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        string bucket = slash < 0 ? rest : rest[..slash];
        string prefix = slash < 0 ? "" : rest[(slash + 1)..].TrimEnd('/');
        if (bucket.Length is < 3 or > 63 || !bucket.All(IsOfBucket) || !char.IsAsciiLetterOrDigit(bucket[0]) || !char.IsAsciiLetterOrDigit(bucket[^1]))
            return false;
        if (prefix.Length > LongestPrefix || (prefix.Length > 0 && prefix.Split('/').Any(part => part is "" or "." or ".." || !part.All(IsOfPrefix))))
            return false;

        location = new(bucket, prefix.Length == 0 ? "" : prefix + "/");
        return true;
    }

    /// <summary>The folder of a dump, ending with a slash: <c>prefix/yyyy/mm/dd/host/id/</c>, by the day (UTC) on which it started.</summary>
    public string FolderOf(Manifest manifest)
    {
        var day = manifest.StartedAt.UtcDateTime;
        return string.Create(CultureInfo.InvariantCulture, $"{Prefix}{day:yyyy'/'MM'/'dd}/{manifest.Host}/{manifest.Id}/");
    }

    /// <summary>The address of <paramref name="key"/>.</summary>
    public string UrlOf(string key) => $"{Scheme}{Bucket}/{key}";

    public override string ToString() => UrlOf(Prefix);

    private static bool IsOfBucket(char c) => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.';

    private static bool IsOfPrefix(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '=' or '+' or '@';
}

/// <summary>What the objects of a dump are called in its folder.</summary>
public static class StoreObjects
{
    /// <summary>The manifest, with where the dump is stored; it is written last, so where it is, the dump is whole.</summary>
    public const string Manifest = "manifest.json";
    public const string Info = "info.txt";
    public const string Key = "key";

    /// <summary>The vmcore's: as netdumpd calls it without host and number, and behind that what was done to it on the way.</summary>
    public static string Vmcore(Manifest manifest, StoreCompression compression, bool isSealed)
    {
        string local = manifest.Files.Vmcore;
        string stem = local.StartsWith("vmcore_encrypted.", StringComparison.Ordinal) ? "vmcore_encrypted" : "vmcore";
        string kernels = local.EndsWith(".gz", StringComparison.Ordinal) ? ".gz" : local.EndsWith(".zst", StringComparison.Ordinal) ? ".zst" : "";
        string ours = compression switch
        {
            StoreCompression.Gzip => ".gz",
            StoreCompression.Zstd => ".zst",
            _ => "",
        };
        return $"{stem}{kernels}{ours}{(isSealed ? ".enc" : "")}";
    }
}
