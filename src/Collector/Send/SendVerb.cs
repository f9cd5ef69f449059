using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Send;

/// <summary><c>send</c>: dumps to a collector as a kernel does.</summary>
internal static class SendVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Notes", """
                Acks come to the client port, so one machine can send from one address to one collector once at a time.
                A dump travels in whole pages: a file that ends within one is padded on the wire, its header tells the true length.
                """),
        ],
        Examples =
        [
            ("netdump-collector send --synthetic 64M --server 127.0.0.1", "A drill on one machine, beside 'netdump-collector serve'."),
            ("netdump-collector send --synthetic 256M --server 192.0.2.1 --panic 'fire drill' --kernel", "Through the real network, as a kernel would."),
            ("netdump-collector send /var/crash/vmcore.web1.0 --server 127.0.0.1 --path lab", "Send a real dump again, into the subdirectory 'lab'."),
            ("netdump-collector send --synthetic 16M --server 127.0.0.1 --clients 1000 --json", "A thousand hosts panic at once."),
            ("netdump-collector send --synthetic 64M --server 127.0.0.1 --kernel --loss 0.001 --reorder 0.01", "A kernel behind a bad network; each lost packet costs it a second."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("send", "Send a dump to a collector, packet for packet as a panicked FreeBSD kernel does: the fire drill before the first real panic.", s_documentation);
        var arguments = new SendArguments(command);
        var json = new Option<bool>("--json") { Description = "Print the summary as JSON.", Arity = ArgumentArity.Zero };
        command.Add(json);
        command.SetAction(parseResult => Run(arguments.Read(parseResult), parseResult.GetValue(json), io));
        return command;
    }

    private static int Run(SendOptions options, bool asJson, CommandIo io)
    {
        try
        {
            using var run = new SendRun(options, Transports.Default, TimeProvider.System);
            if (run.SizeBytes == 0)
                throw new UsageException($"FILE: \"{options.File}\" is empty; allowed: a file with at least 1 byte");

            var progress = new ProgressLine(io, TimeProvider.System);
            long totalBytes = SendOptions.PaddedBytes(run.SizeBytes) * options.Clients;
            var summary = run.RunAsync((doneBytes, ended, seconds) => progress.Show(doneBytes, totalBytes, string.Create(CultureInfo.InvariantCulture,
                $"{doneBytes / Math.Max(seconds, 1e-6) / 1e6:F0} MB/s  {ended} of {options.Clients} clients ended")), io.Stop).GetAwaiter().GetResult();
            progress.Clear();
            if (asJson)
                io.Output.WriteLine(JsonSerializer.Serialize(summary, JsonText.Indented));
            else
                summary.Write(io.Output);
            return summary.Failed == 0 ? ExitCode.Ok : ExitCode.Failed;
        }
        catch (EndpointException exception)
        {
            io.Complain(exception.Message);
            return ExitCode.CannotStart;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"FILE: cannot read \"{options.File}\": {exception.Message}");
        }
    }
}
