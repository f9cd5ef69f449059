using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>What events say they are from.</summary>
internal static class CollectorSource
{
    /// <summary>A path with the node's name, which is the machine's unless it was given another one: a collector has no address of its own that others could use.</summary>
    public static string Of(string node) => $"/{CommandIo.ProgramName}/{node}";
}
