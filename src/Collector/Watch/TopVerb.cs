using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using Spectre.Console;

namespace NetdumpCollector.Collector.Watch;

/// <summary><c>top</c>: shows, live, who is dumping and how fast.</summary>
internal static class TopVerb
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Keys", "Ctrl-C ends it. On anything but a terminal 'sessions' shows the same once."),
            ("Room", "As many sessions as the terminal has lines for, at most 40; below 100 columns without REPEATED. ERROR is there while a dump cannot be stored."),
            ("Fleet", "Below the sessions of all nodes: the nodes, dead ones first, and the newest dumps, where the terminal has room for them."),
            ("Done, left", "Percent of what the dump will have, and the time for the rest at this rate; '-' for dumps that do not tell before they end (compressed, encrypted or full ones)."),
        ],
        Examples =
        [
            ("netdump-collector top", "Watch the server at 127.0.0.1:9464, or where NETDUMP_HTTP says."),
            ("netdump-collector top --http 192.0.2.1:9464", "Watch another one."),
            ("netdump-collector top --cluster-file /run/secrets/netdump-cluster", "Watch all nodes of a fleet."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("top", "Watch who is dumping now, how far and how fast.", s_documentation);
        var settings = new SettingOptions(command, [.. RunningServer.Settings, .. FleetCommand.Settings]);
        command.SetAction(parseResult =>
        {
            using var source = SessionSource.Of(settings.Resolve(parseResult, io), io);
            return Run(source, io);
        });
        return command;
    }

    private static int Run(SessionSource source, CommandIo io)
    {
        if (Console.IsOutputRedirected)
        {
            io.Complain("top needs a terminal; 'sessions' shows the same once");
            return ExitCode.Failed;
        }

        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(io.Output) });
        var rates = new SessionRates();
        int exitCode = ExitCode.Ok;
        console.Live(new Text("")).AutoClear(true).Start(live =>
        {
            do
            {
                if (source.Read() is not { } all)
                {
                    exitCode = io.Stop.IsCancellationRequested ? ExitCode.Ok : ExitCode.CannotStart;
                    return;
                }

                var sessions = rates.Take(all, TimeProvider.System);
                var fleet = source.ReadFleet();
                int below = FleetTables.LinesOf(fleet, console.Profile.Height);
                var table = TopTable.Of(sessions, console.Profile.Width, console.Profile.Height - below);
                live.UpdateTarget(below == 0 ? table : new Rows([table, .. FleetTables.Of(fleet)]));
            }
            while (!io.Stop.WaitHandle.WaitOne(s_interval));
        });
        return exitCode;
    }
}
