using System.CommandLine;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary><c>doctor</c>: looks whether dumps would be taken on this machine, with these settings, and says what to fix.</summary>
internal static class DoctorVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Without a running collector", """
                Starts the real server on the real port for a moment, sends it a made-up dump, reads that back and removes
                everything. It works in a directory of its own beside the dumps (.doctor.ID, which 'serve' passes over and the
                next doctor removes); dumps, script, webhook and retention are not touched. The herald port is taken meanwhile.
                """),
            ("With one", """
                Asks it over HTTP. Only with --send a made-up dump is sent to it: that one stays in its dump directory, its
                script runs, and the report says how to delete it.
                """),
            ("Exit code", "0 when dumps would be taken, also with warnings; 1 with problems; 2 for settings whose values are not allowed."),
        ],
        Examples =
        [
            ("netdump-collector doctor", "Look at this machine with the default settings."),
            ("sudo -u netdump netdump-collector doctor --config /etc/netdump-collector.json", "With the service's settings and rights."),
            ("netdump-collector doctor --config /etc/netdump-collector.json --send", "Send a made-up dump to the collector that runs."),
            ("netdump-collector doctor --json", "The same for a program."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("doctor", "Check ports, buffers, disk, clock and names, send a made-up dump through the real sockets, and say what to fix; takes the options of 'serve'.", s_documentation);
        var options = new SettingOptions(command, SettingsTable.All);
        var send = new Option<bool>("--send") { Description = "Send a made-up dump to the collector that runs, too; it stays in its dump directory.", Arity = ArgumentArity.Zero };
        var json = new Option<bool>("--json") { Description = "Print JSON.", Arity = ArgumentArity.Zero };
        command.Add(send);
        command.Add(json);
        command.SetAction(parseResult => Run(options.Resolve(parseResult, io).ToSettings(), parseResult.GetValue(send), parseResult.GetValue(json), io));
        return command;
    }

    private static int Run(CollectorSettings settings, bool sends, bool asJson, CommandIo io)
    {
        if (OperatingSystem.IsWindows())
        {
            io.Complain("doctor needs Linux or another Unix");
            return ExitCode.CannotStart;
        }

        FileCreationMask.Restrict();
        var report = new DoctorReport(io.Output, asJson, DoctorReport.MayColour(io, !Console.IsOutputRedirected));
        var examination = new Examination(io, TimeProvider.System, report.Add);
        try
        {
            new DoctorRun(settings, sends, examination, io).Run();
        }
        catch (OperationCanceledException)
        {
            io.Complain("interrupted");
            return ExitCode.Failed;
        }

        report.End();
        return report.ExitCode;
    }
}
