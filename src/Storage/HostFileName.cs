using System.Buffers;

namespace NetdumpCollector.Storage;

/// <summary>Makes host names fit for file names, wherever they come from.</summary>
/// <remarks>
/// DNS answers are written by strangers. What is made here never has a separator, never starts with a dot and is never empty, so every
/// <c>vmcore.HOST.N</c> is a plain name in its own directory. Two host names may become one; they then share their numbering, never a file.
/// </remarks>
public static class HostFileName
{
    /// <summary>Longest host in a file name, as long as a DNS label.</summary>
    public const int MaxLength = 63;

    private static readonly SearchValues<char> s_allowed = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

    /// <summary>The name with every character outside <c>[A-Za-z0-9_.-]</c> and a leading dot as <c>_</c>, cut to <see cref="MaxLength"/>; <c>unknown</c> for nothing.</summary>
    public static string From(string host)
    {
        if (host.Length == 0)
            return "unknown";
        if (IsAllowed(host))
            return host;

        Span<char> name = stackalloc char[Math.Min(host.Length, MaxLength)];
        for (int i = 0; i < name.Length; i++)
            name[i] = s_allowed.Contains(host[i]) ? host[i] : '_';
        if (name[0] == '.')
            name[0] = '_';
        return new(name);
    }

    /// <summary><paramref name="host"/> can be used in a file name as it is.</summary>
    public static bool IsAllowed(string host) =>
        host.Length is > 0 and <= MaxLength && host[0] != '.' && !host.AsSpan().ContainsAnyExcept(s_allowed);
}
