using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Watch;

/// <summary><c>sessions</c>: asks the running server who is dumping now.</summary>
internal static class SessionsVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Phase", """
                half_open   a herald came, no data yet
                receiving   the dump arrives
                ending      it has ended and is being made durable
                lingering   it is durable, a repeated FINISHED is still answered
                orphaned    its node is dead or has left, and nobody has taken it over yet
                """),
            ("Done", "Percent of what the dump will have, as its start tells; '-' for dumps that do not tell it before they end (compressed, encrypted or full ones)."),
        ],
        Examples =
        [
            ("netdump-collector sessions", "Ask the server at 127.0.0.1:9464, or where NETDUMP_HTTP says."),
            ("netdump-collector sessions --http 192.0.2.1:9464 --json", "Ask another one, for a program."),
            ("netdump-collector sessions --cluster-file /run/secrets/netdump-cluster", "Ask the catalogue of a fleet: those of all nodes that have files."),
            ("NETDUMP_TOKEN=… netdump-collector sessions --http-certificate /etc/netdump.pem", "Ask one that encrypts and wants a token; who can read its --token-file names that."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("sessions", "Show who is dumping now, and how far.", s_documentation);
        var settings = new SettingOptions(command, [.. RunningServer.Settings, .. FleetCommand.Settings]);
        var json = new Option<bool>("--json") { Description = "Print JSON.", Arity = ArgumentArity.Zero };
        command.Add(json);
        command.SetAction(parseResult =>
        {
            using var source = SessionSource.Of(settings.Resolve(parseResult, io), io);
            if (source.Read() is not { } sessions)
                return ExitCode.CannotStart;
            if (parseResult.GetValue(json))
                io.Output.WriteLine(JsonSerializer.Serialize(sessions, JsonText.Indented));
            else
                WriteTable(sessions, io);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteTable(IReadOnlyList<SessionRow> sessions, CommandIo io)
    {
        if (sessions.Count == 0)
        {
            io.Output.WriteLine("No sessions.");
            return;
        }

        bool isFleet = sessions.Any(session => session.Node is not null);
        var table = new TextTable([.. isFleet ? ["NODE"] : Array.Empty<string>(), "CLIENT", "HOST", "PHASE", "STARTED", "RECEIVED", "DONE", "SILENT", "REPEATED", "DUMP", "ERROR"]);
        foreach (var session in sessions)
        {
            table.Add([.. isFleet ? [session.Node ?? "-"] : Array.Empty<string>(), session.Client, session.Host ?? "-", session.Phase, session.StartedAt.ToString("HH:mm:ss'Z'", CultureInfo.InvariantCulture), ByteSize.Format(session.Bytes), SessionProgress.PercentOf(session),
                string.Create(CultureInfo.InvariantCulture, $"{session.SilentSeconds:F1} s"), string.Create(CultureInfo.InvariantCulture, $"{session.Repeated}"), session.DumpId ?? "-", session.Error ?? "-"]);
        }

        table.Write(io.Output);
    }
}
