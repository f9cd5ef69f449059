using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Hosting;

namespace NetdumpCollector.Collector;

internal static class Program
{
    private static async Task<int> Main(string[] arguments)
    {
        using var signals = new TerminationSignals();
        return await CollectorCommandLine.RunAsync(arguments, CommandIo.OfProcess(), signals.Stop);
    }
}
