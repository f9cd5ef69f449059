using System.Collections;

namespace NetdumpCollector.Collector.Cli;

/// <summary>What a command sees of the world around the process.</summary>
/// <param name="Output">Results.</param>
/// <param name="Error">Problems and progress.</param>
/// <param name="Environment">All environment variables.</param>
/// <param name="ErrorIsTerminal">Whether <paramref name="Error"/> can show a line that redraws itself.</param>
/// <param name="Stop">Cancelled when the command is to end where it is.</param>
internal sealed record CommandIo(TextWriter Output, TextWriter Error, IReadOnlyDictionary<string, string> Environment, bool ErrorIsTerminal, CancellationToken Stop)
{
    public const string ProgramName = "netdump-collector";

    /// <summary>The console and environment of this process.</summary>
    public static CommandIo OfProcess(CancellationToken stop)
    {
        var environment = new Dictionary<string, string>();
        foreach (DictionaryEntry variable in System.Environment.GetEnvironmentVariables())
            environment[(string)variable.Key] = (string?)variable.Value ?? "";
        return new(Console.Out, Console.Error, environment, !Console.IsErrorRedirected, stop);
    }

    /// <summary>Reports a problem the way every command does.</summary>
    public void Complain(string problem) => Error.WriteLine($"{ProgramName}: {problem}");
}
