using System.Diagnostics.CodeAnalysis;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Settings;

/// <summary>Whether the SHA-256 of a finished dump is computed.</summary>
internal enum HashPolicy
{
    /// <summary>After the transfer, beside running dumps.</summary>
    Deferred,
    Off,
}

internal enum LogFormat
{
    Text,
    Json,
}

internal enum TransportChoice
{
    /// <summary>Batched system calls where the machine has them, else portable sockets.</summary>
    Auto,
    Linux,
    Portable,
}

internal enum ProgressDisplay
{
    /// <summary>On a terminal only.</summary>
    Auto,
    On,
    Off,
}

/// <summary>UDP ports <c>First</c> to <c>Last</c>, both included.</summary>
internal readonly record struct PortRange(ushort First, ushort Last)
{
    public override string ToString() => $"{First}-{Last}";
}

/// <summary>Parsers of setting values; the wording of what they accept stands in <see cref="SettingsTable"/>.</summary>
internal static class SettingValues
{
    public static bool TryAddress(string text, out Ipv4 value) => Ipv4.TryParse(text, out value);

    public static bool TryNetworks(string text, [MaybeNullWhen(false)] out Ipv4Networks value) => Ipv4Networks.TryParse(text, out value);

    public static bool TryFlag(string text, out bool value) => bool.TryParse(text, out value);

    /// <summary>Empty means none.</summary>
    public static bool TryOptionalPath(string text, out string? value)
    {
        value = text.Length == 0 ? null : text;
        return !text.Contains('\0', StringComparison.Ordinal);
    }

    public static bool TryPath(string text, out string value)
    {
        value = text;
        return text.Length > 0 && !text.Contains('\0', StringComparison.Ordinal);
    }

    /// <summary>A path that stays inside the directory it is relative to; empty means none.</summary>
    public static bool TryRelativePath(string text, out string? value) =>
        TryOptionalPath(text, out value) && !text.StartsWith('/') && !text.Split('/').Contains("..");

    /// <summary>A name that can be part of a file's; null for "auto".</summary>
    public static bool TryNode(string text, out string? value)
    {
        value = text == "auto" ? null : text;
        return HostFileName.IsAllowed(text);
    }

    public static Setting<int>.Parser Whole(int least, int most) => (string text, out int value) =>
        int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out value) && value >= least && value <= most;

    /// <summary>As <see cref="Whole"/>; <c>auto</c> is 0.</summary>
    public static Setting<int>.Parser WholeOrAuto(int least, int most) => (string text, out int value) =>
    {
        value = 0;
        return text == "auto" || Whole(least, most)(text, out value);
    };

    /// <summary>Empty means none.</summary>
    public static bool TryCluster(string text, out ClusterAddress? value)
    {
        value = null;
        return text.Length == 0 || ClusterAddress.TryParse(text, out value);
    }

    /// <summary><c>auto</c> is null.</summary>
    public static bool TryNodeUrl(string text, out Uri? value)
    {
        value = null;
        return text == "auto" || (Uri.TryCreate(text, UriKind.Absolute, out value) && (value.Scheme == Uri.UriSchemeHttp || value.Scheme == Uri.UriSchemeHttps)
            && value.UserInfo.Length == 0 && value.Fragment.Length == 0 && value.Query.Length == 0);
    }

    /// <summary><c>off</c> is null, and so is what <paramref name="parse"/> never sees.</summary>
    public static Setting<T?>.Parser OrOff<T>(Setting<T>.Parser parse) where T : struct => (string text, out T? value) =>
    {
        value = null;
        if (text == "off")
            return true;
        if (!parse(text, out var given))
            return false;
        value = given;
        return true;
    };

    /// <summary>A number of seconds, minutes, hours, days or weeks such as <c>30d</c>, up to a century.</summary>
    public static bool TryAge(string text, out TimeSpan value)
    {
        const long MostSeconds = 36_525L * 86_400;
        value = default;
        long unitSeconds = text.Length == 0 ? 0 : text[^1] switch
        {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => 0,
        };
        if (unitSeconds == 0 || !long.TryParse(text.AsSpan(0, text.Length - 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out long number)
            || number == 0 || number > MostSeconds / unitSeconds)
            return false;

        value = TimeSpan.FromSeconds(number * unitSeconds);
        return true;
    }

    /// <summary>0, a size, or per cent such as <c>5%</c>.</summary>
    public static bool TryMinFree(string text, out MinFree value)
    {
        value = MinFree.None;
        if (text == "0")
            return true;
        if (text.EndsWith('%') && Whole(1, 99)(text[..^1], out int percent))
            value = new(0, percent);
        else if (ByteSize.TryParse(text, out long bytes))
            value = new(bytes, 0);
        return !value.IsNone;
    }

    public static Setting<ushort>.Parser Port(ushort least) => (string text, out ushort value) =>
        ushort.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out value) && value >= least;

    public static bool TryPortRange(string text, out PortRange value)
    {
        value = default;
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash < 0 || !Port(1)(text[..dash], out ushort first) || !Port(1)(text[(dash + 1)..], out ushort last) || first > last)
            return false;

        value = new(first, last);
        return true;
    }

    /// <summary><c>full</c>, <c>head:SIZE</c>, <c>auto</c> or <c>auto:N</c>.</summary>
    public static bool TryKeep(string text, [MaybeNullWhen(false)] out KeepPolicy value)
    {
        value = text switch
        {
            "full" => KeepPolicy.Full,
            "auto" => KeepPolicy.Auto(),
            _ when text.StartsWith("head:", StringComparison.Ordinal) && ByteSize.TryParse(text["head:".Length..], out long bytes) && bytes >= KeepPolicy.MinHeadBytes
                => KeepPolicy.Head(bytes),
            _ when text.StartsWith("auto:", StringComparison.Ordinal) && Whole(1, KeepPolicy.MaxFullPerHour)(text["auto:".Length..], out int count)
                => KeepPolicy.Auto(count),
            _ => null,
        };
        return value is not null;
    }

    /// <summary><c>off</c> is null.</summary>
    public static bool TryWebhook(string text, out Uri? value)
    {
        value = null;
        if (text == "off")
            return true;
        return Uri.TryCreate(text, UriKind.Absolute, out value) && value.Scheme is "http" or "https" && value.UserInfo.Length == 0 && value.Fragment.Length == 0;
    }

    /// <summary><c>off</c> is null.</summary>
    public static bool TryStore(string text, out StoreLocation? value)
    {
        value = null;
        return text == "off" || StoreLocation.TryParse(text, out value);
    }

    /// <summary><c>auto</c> is null.</summary>
    public static bool TryStoreEndpoint(string text, out Uri? value)
    {
        value = null;
        if (text == "auto")
            return true;
        return Uri.TryCreate(text, UriKind.Absolute, out value) && value.Scheme is "http" or "https" && value is { UserInfo.Length: 0, PathAndQuery: "/", Fragment.Length: 0 };
    }

    /// <summary><c>auto</c> is null.</summary>
    public static bool TryStoreRegion(string text, out string? value)
    {
        value = text == "auto" ? null : text;
        return text.Length is > 0 and <= 64 && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');
    }

    /// <summary>Bytes a second, with which a store does not take a slow sender for one that hangs.</summary>
    public static bool TryRate(string text, out long value) => ByteSize.TryParse(text, out value) && value >= 64 << 10;

    /// <summary>One of the names of <typeparamref name="T"/> in lower case.</summary>
    public static bool TryChoice<T>(string text, out T value) where T : struct, Enum
    {
        foreach (var choice in Enum.GetValues<T>())
        {
            if (NameOf(choice) == text)
            {
                value = choice;
                return true;
            }
        }

        value = default;
        return false;
    }

    public static string NameOf<T>(T choice) where T : struct, Enum => choice.ToString().ToLowerInvariant();
}
