using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Hosting;

namespace NetdumpCollector.Collector;

internal static class Program
{
    private static int Main(string[] arguments)
    {
        using var signals = new TerminationSignals();
        return CollectorCommandLine.Run(arguments, CommandIo.OfProcess(signals.Stop));
    }
}
