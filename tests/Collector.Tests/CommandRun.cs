using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Tests;

/// <summary>One run of the command line inside this process.</summary>
internal sealed record CommandRun(int ExitCode, string Output, string Error)
{
    public static Task<CommandRun> OfAsync(params string[] arguments) => OfAsync(new Dictionary<string, string>(), arguments);

    public static async Task<CommandRun> OfAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var io = new CommandIo(output, error, environment, ErrorIsTerminal: false, CancellationToken.None);
        // A command keeps its thread to its end, and the test runner has few.
        int exitCode = await Task.Run(() => CollectorCommandLine.Run(arguments, io));
        return new(exitCode, output.ToString(), error.ToString());
    }
}
