using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>What events say they are from.</summary>
internal static class CollectorSource
{
    /// <summary>A path with the machine's name: a collector has no address of its own that others could use.</summary>
    public static string Name { get; } = $"/{CommandIo.ProgramName}/{Environment.MachineName}";
}
