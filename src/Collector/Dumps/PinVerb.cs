using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Dumps;

/// <summary><c>dumps pin</c> and <c>dumps unpin</c>: keep dumps from retention, or no longer.</summary>
internal static class PinVerb
{
    public static DocumentedCommand Create(string name, bool pinned, CommandIo io)
    {
        var command = new DocumentedCommand(name, pinned ? "Keep dumps whatever retention says." : "Let retention have dumps again.", new()
        {
            Examples = [($"netdump-collector dumps {name} web1.0 web2.3", pinned ? "'dumps list' shows them as pinned." : "By host and number; ids do as well.")],
        });
        var ids = PositionalArgument.CreateSeveral("ID", "Ids, starts of ids, or HOST.N.");
        command.Add(ids);
        var directory = DumpsVerb.DirectoryOptions(command);
        command.SetAction(parseResult => DumpsVerb.WithCatalog(directory, parseResult, io, catalog =>
        {
            if (DumpsVerb.FindAll(catalog, parseResult.GetRequiredValue(ids), io) is not { } dumps)
                return ExitCode.Failed;

            string done = pinned ? "pinned" : "not pinned";
            foreach (var dump in dumps)
                io.Output.WriteLine($"{dump.Name} ({dump.Manifest.Id}) is {(DumpPin.Set(dump, pinned) ? $"now {done}" : $"{done} already")}");
            return ExitCode.Ok;
        }));
        return command;
    }
}
