using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;

namespace NetdumpCollector.Collector.Cli;

/// <summary>Prints the version of this program, whichever process it runs in.</summary>
internal sealed class VersionAction : SynchronousCommandLineAction
{
    public static string Text { get; } =
        $"{CommandIo.ProgramName} {typeof(VersionAction).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion}";

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        parseResult.InvocationConfiguration.Output.WriteLine(Text);
        return ExitCode.Ok;
    }
}
