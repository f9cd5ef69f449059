using System.Globalization;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>How many sessions the process's descriptors suffice for.</summary>
/// <remarks>
/// A running dump has a socket, its data file, its ledger and at most one directory; one that has ended keeps all but the data file while it answers a repeated FINISHED. What the process itself needs,
/// commits, assemblies and connections of HTTP included, is reserved, so that no number of clients can keep a finished dump from becoming durable, or the next start from continuing what runs.
/// </remarks>
internal static class DescriptorBudget
{
    private const int ReservedDescriptors = 320;
    private const int DescriptorsPerSession = DumpDirectory.DescriptorsPerRunningDump + DumpDirectory.DescriptorsPerEndedDump;

    /// <summary>Sessions that fit, at least 1; <see cref="int.MaxValue"/> where the limit is not known.</summary>
    public static int MaxSessions() => SoftLimit() is long limit
        ? (int)Math.Clamp((limit - ReservedDescriptors) / DescriptorsPerSession, 1, int.MaxValue)
        : int.MaxValue;

    /// <summary>The limit of open files that <paramref name="sessions"/> take.</summary>
    public static long DescriptorsFor(int sessions) => ReservedDescriptors + (long)sessions * DescriptorsPerSession;

    /// <summary>The soft limit of open files, which the runtime has raised to the hard one; null where the system does not tell.</summary>
    public static long? SoftLimit()
    {
        const string Name = "Max open files";
        try
        {
            string? line = File.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith(Name, StringComparison.Ordinal));
            return long.TryParse(line?[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], NumberStyles.None, CultureInfo.InvariantCulture, out long limit) ? limit : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
