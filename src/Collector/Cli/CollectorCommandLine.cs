using System.CommandLine;
using System.CommandLine.Help;
using NetdumpCollector.Collector.Doctor;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Send;
using NetdumpCollector.Collector.Watch;

namespace NetdumpCollector.Collector.Cli;

/// <summary>The commands and what is common to them: help, version, reports of wrong usage, exit codes.</summary>
internal static class CollectorCommandLine
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Exit codes", $"""
                {ExitCode.Ok}  done
                {ExitCode.Failed}  a client failed to send, a dump is wrong or not there, doctor found problems, or serve ended before all dumps it was making durable were
                {ExitCode.Usage}  unknown or invalid option or setting
                {ExitCode.CannotStart}  cannot start: port, address or dump directory cannot be had
                """),
        ],
        Examples =
        [
            ("netdump-collector serve", "Receive dumps into ./dumps."),
            ("netdump-collector serve -a 192.0.2.1 -d /var/crash -i /usr/local/bin/on-dump", "The same with netdumpd's options."),
            ("netdump-collector send --synthetic 64M --server 192.0.2.1 --panic 'fire drill'", "Send a made-up dump, as a panicking kernel would."),
            ("netdump-collector dumps list", "Show what has been received."),
            ("netdump-collector doctor", "Look whether dumps would be taken here, and what to fix."),
        ],
    };

    /// <summary>Runs the command in <paramref name="arguments"/> on the calling thread and returns its exit code.</summary>
    /// <remarks>Asynchronous methods would only add to the start: the runtime has to compile each one's state machine then.</remarks>
    public static int Run(string[] arguments, CommandIo io)
    {
        var parseResult = Create(io).Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parseResult.Errors.Count > 0 && parseResult.Action is not { ClearsParseErrors: true })
        {
            foreach (var error in parseResult.Errors)
                io.Complain(error.Message);
            io.Error.WriteLine($"Try '{NameOf(parseResult.CommandResult.Command)} --help'.");
            return ExitCode.Usage;
        }

        try
        {
            // Signals are the caller's: a server that drains needs longer than a command line library would wait.
            return parseResult.Invoke(new() { Output = io.Output, Error = io.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (UsageException exception)
        {
            foreach (string problem in exception.Problems)
                io.Complain(problem);
            return ExitCode.Usage;
        }
    }

    /// <summary>Every command with its options.</summary>
    internal static RootCommand Create(CommandIo io)
    {
        var root = new RootCommand("Receives FreeBSD netdump(4) kernel crash dumps over the network; a drop-in for netdumpd.")
        {
            ServeVerb.Create(io),
            ConfigVerb.Create(io),
            SendVerb.Create(io),
            DumpsVerb.Create(io),
            SessionsVerb.Create(io),
            TopVerb.Create(io),
            DbVerb.Create(io),
            DoctorVerb.Create(io),
            CreateVersion(io),
        };
        foreach (var option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction usual } help)
                help.Action = new DocumentedHelp(usual, s_documentation);
            else if (option is VersionOption version)
                version.Action = new VersionAction();
        }

        return root;
    }

    private static DocumentedCommand CreateVersion(CommandIo io)
    {
        var command = new DocumentedCommand("version", "Show the version.", new() { Examples = [("netdump-collector version", "Print name and version.")] });
        command.SetAction(_ => io.Output.WriteLine(VersionAction.Text));
        return command;
    }

    private static string NameOf(Command command) =>
        command is RootCommand ? CommandIo.ProgramName : $"{NameOf(command.Parents.OfType<Command>().Single())} {command.Name}";
}
