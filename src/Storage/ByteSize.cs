using System.Globalization;
using System.Numerics;

namespace NetdumpCollector.Storage;

/// <summary>Sizes as people write and read them; K, M, G and T are powers of 1024.</summary>
public static class ByteSize
{
    /// <summary>What <see cref="TryParse"/> takes, in words.</summary>
    public const string Allowed = "a number of bytes, with K, M, G or T for powers of 1024, such as 64M";

    private const string Suffixes = "KMGT";

    /// <summary>Reads sizes from 1 byte up, such as <c>4096</c>, <c>64M</c> and <c>2g</c>.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        int power = text.Length == 0 ? -1 : Suffixes.IndexOf(char.ToUpperInvariant(text[^1]), StringComparison.Ordinal);
        string digits = power < 0 ? text : text[..^1];
        int shift = 10 * (power + 1);
        bytes = 0;
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) || number == 0 || number > long.MaxValue >> shift)
            return false;

        bytes = number << shift;
        return true;
    }

    /// <summary>The shortest text that <see cref="TryParse"/> reads as exactly <paramref name="bytes"/>, such as <c>64M</c>; <c>0</c> for none.</summary>
    public static string Write(long bytes)
    {
        int power = bytes == 0 ? 0 : Math.Min(BitOperations.TrailingZeroCount(bytes) / 10, Suffixes.Length);
        return string.Create(CultureInfo.InvariantCulture, $"{bytes >> (10 * power)}{(power == 0 ? "" : Suffixes[power - 1])}");
    }

    /// <summary>Two or three digits and a binary unit, such as <c>1.5 GiB</c>.</summary>
    public static string Format(double bytes)
    {
        int power = 0;
        for (; bytes >= 1024 && power < Suffixes.Length; power++)
            bytes /= 1024;
        return power == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes:F0} B")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes:F1} {Suffixes[power - 1]}iB");
    }
}
