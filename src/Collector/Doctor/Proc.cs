using System.Globalization;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Files in which the kernel tells of itself.</summary>
internal static class Proc
{
    /// <summary>The lines of a file; none where it cannot be read.</summary>
    public static string[] Lines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>A setting such as <c>net.core.rmem_max</c>; empty where it cannot be read.</summary>
    public static string Setting(string name) => Lines($"/proc/sys/{name.Replace('.', '/')}").FirstOrDefault() ?? "";

    /// <summary>The numbers of a setting; none where it cannot be read.</summary>
    public static long[] Numbers(string name) => [.. Setting(name).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Select(word => long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : -1).Where(number => number >= 0)];
}
