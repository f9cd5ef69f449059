using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NetdumpCollector.Collector.Cli;
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
                """),
            ("Done", "Percent of what the dump will have, as its start tells; '-' for dumps that do not tell it before they end (compressed, encrypted or full ones)."),
        ],
        Examples =
        [
            ("netdump-collector sessions", "Ask the server at 127.0.0.1:9464, or where NETDUMP_HTTP says."),
            ("netdump-collector sessions --http 192.0.2.1:9464 --json", "Ask another one, for a program."),
            ("NETDUMP_TOKEN=… netdump-collector sessions --http-certificate /etc/netdump.pem", "Ask one that encrypts and wants a token; who can read its --token-file names that."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("sessions", "Show who is dumping now, and how far.", s_documentation);
        var settings = new SettingOptions(command, RunningServer.Settings);
        var json = new Option<bool>("--json") { Description = "Print JSON.", Arity = ArgumentArity.Zero };
        command.Add(json);
        command.SetAction(parseResult =>
        {
            using var server = RunningServer.At(settings.Resolve(parseResult, io), io.Environment);
            if (server.Read("/api/v1/sessions", io) is not string text)
                return ExitCode.CannotStart;
            if (parseResult.GetValue(json))
                io.Output.Write(text);
            else
                WriteTable(JsonSerializer.Deserialize<SessionRow[]>(text, JsonText.Indented)!, io);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteTable(SessionRow[] sessions, CommandIo io)
    {
        if (sessions.Length == 0)
        {
            io.Output.WriteLine("No sessions.");
            return;
        }

        var table = new TextTable("CLIENT", "HOST", "PHASE", "STARTED", "RECEIVED", "DONE", "SILENT", "REPEATED", "DUMP", "ERROR");
        foreach (var session in sessions)
        {
            table.Add(session.Client, session.Host ?? "-", session.Phase, session.StartedAt.ToString("HH:mm:ss'Z'", CultureInfo.InvariantCulture), ByteSize.Format(session.Bytes), SessionProgress.PercentOf(session),
                string.Create(CultureInfo.InvariantCulture, $"{session.SilentSeconds:F1} s"), string.Create(CultureInfo.InvariantCulture, $"{session.Repeated}"), session.DumpId ?? "-", session.Error ?? "-");
        }

        table.Write(io.Output);
    }
}
