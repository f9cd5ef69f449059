using NetdumpCollector.Protocol;

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

    public static Setting<int>.Parser Whole(int least, int most) => (string text, out int value) =>
        int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out value) && value >= least && value <= most;

    /// <summary>As <see cref="Whole"/>; <c>auto</c> is 0.</summary>
    public static Setting<int>.Parser WholeOrAuto(int least, int most) => (string text, out int value) =>
    {
        value = 0;
        return text == "auto" || Whole(least, most)(text, out value);
    };

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
