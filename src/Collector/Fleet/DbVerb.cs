using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Fleet;

/// <summary><c>db</c>: the fleet's catalogue, a PostgreSQL database.</summary>
internal static class DbVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Examples =
        [
            ("netdump-collector db migrate --cluster 'Host=db.example.net;Database=netdump;Username=netdump'", "Make the catalogue's tables, or bring them to this version."),
            ("netdump-collector db status --cluster-file /run/secrets/netdump-cluster", "Look whether the catalogue answers, and which nodes it knows."),
        ],
    };

    private static readonly Documentation s_migrateDocumentation = new()
    {
        Notes =
        [
            ("Rights", """
                It creates the schema 'netdump' and tables in it; 'serve' does the same when it connects, and needs
                no such rights where it has been done before: then select, insert, update and delete on the tables are enough.
                """),
            ("Time", """
                As long as it takes, but no lock is waited for longer than two seconds, because the nodes would wait
                behind it. What cannot be done now is not done at all: try again when a backup, say, has ended. For a
                version that takes more than three seconds run this before the nodes: they do not wait for it.
                """),
            ("Password", "Best in a file: --cluster-file, or PGPASSFILE as for every PostgreSQL client. It is never shown."),
        ],
        Examples = [("NETDUMP_CLUSTER='Host=db.example.net;Database=netdump' netdump-collector db migrate", "As often as you like, from any number of nodes at once.")],
    };

    private static readonly Documentation s_statusDocumentation = new()
    {
        Notes =
        [
            ("State", """
                live   heard of within the last four seconds, by the database's clock
                dead   not heard of for longer
                left   stopped
                """),
        ],
        Examples = [("netdump-collector db status --config /etc/netdump-collector.json", "The catalogue that 'serve' uses with this file.")],
    };

    public static DocumentedCommand Create(CommandIo io) => new("db", "Make or look at the catalogue that the nodes of a fleet share.", s_documentation)
    {
        Command("migrate", "Make the catalogue's tables, or bring them to this version.", s_migrateDocumentation, io, Migrate),
        Command("status", "Show whether the catalogue answers, its version and its nodes.", s_statusDocumentation, io, ShowStatus),
    };

    private static DocumentedCommand Command(string name, string description, Documentation documentation, CommandIo io, Func<ClusterAddress, CommandIo, int> run)
    {
        var command = new DocumentedCommand(name, description, documentation);
        var settings = new SettingOptions(command, [.. FleetCommand.Settings, SettingsTable.Config]);
        command.SetAction(parseResult => run(
            FleetCommand.AddressOf(settings.Resolve(parseResult, io)) ?? throw new UsageException([$"no catalogue is named; give --cluster or --cluster-file ({ClusterAddress.Allowed})"]), io));
        return command;
    }

    private static int Migrate(ClusterAddress address, CommandIo io)
    {
        try
        {
            var (before, after) = FleetSchema.MigrateAsync(address, io.Stop).GetAwaiter().GetResult();
            io.Output.WriteLine(before == after ? $"{address}: is at version {after}, nothing to do" : $"{address}: version {after}, was {(before == 0 ? "empty" : before)}");
            return ExitCode.Ok;
        }
        catch (FleetException e)
        {
            io.Complain($"catalogue {address}: {e.Message}");
            return ExitCode.CannotStart;
        }
    }

    private static int ShowStatus(ClusterAddress address, CommandIo io)
    {
        if (FleetCommand.Ask(address, io, async reader => Tuple.Create(await reader.StatusAsync(io.Stop).ConfigureAwait(false))) is not { Item1: var (version, bytes, dumps) })
            return ExitCode.CannotStart;
        if (version == 0)
        {
            io.Complain($"catalogue {address}: answers, but has no tables yet; run 'netdump-collector db migrate'");
            return ExitCode.Failed;
        }

        io.Output.WriteLine($"{address}: version {version}, this program's is {FleetSchema.Version}; {dumps} dumps, {ByteSize.Format(bytes)}");
        if (FleetCommand.Ask(address, io, reader => reader.SnapshotAsync("", io.Stop)) is not { } snapshot)
            return ExitCode.CannotStart;
        var table = new TextTable("NODE", "STATE", "HERALDS", "RECEIVING", "HEARD OF", "HTTP", "VERSION");
        foreach (var node in snapshot.Nodes.Select(NodeRow.Of))
        {
            table.Add(node.Name, node.State, $"{node.Address}:{node.Port}", $"{node.Receiving}", string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{node.SilentSeconds:F1} s ago"), node.Url ?? "-", node.Version);
        }

        table.Write(io.Output);
        return ExitCode.Ok;
    }
}
