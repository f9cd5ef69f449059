using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace NetdumpCollector.Collector.Cli;

/// <summary>The usual help, then the command's <see cref="Documentation"/>.</summary>
internal sealed class DocumentedHelp(HelpAction usual, Documentation rootDocumentation) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        int exitCode = usual.Invoke(parseResult);
        var documentation = parseResult.CommandResult.Command is DocumentedCommand command ? command.Documentation : rootDocumentation;
        documentation.Write(parseResult.InvocationConfiguration.Output);
        return exitCode;
    }
}
