using System.CommandLine;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Dumps;

/// <summary><c>dumps</c>: looks at what lies in the dump directory and deletes from it, whether a server runs or not.</summary>
internal static class DumpsVerb
{
    private const int MaxNamedDumps = 5;

    private static readonly Documentation s_documentation = new()
    {
        Examples =
        [
            ("netdump-collector dumps list", "All dumps in ./dumps."),
            ("netdump-collector dumps show web1.0", "Everything about the first dump of web1."),
            ("netdump-collector dumps verify --all --directory /var/crash", "Compare all files with their manifests."),
            ("netdump-collector dumps prune --retain-age 30d --dry-run", "Show what could go."),
        ],
    };

    private static readonly Documentation s_listDocumentation = new()
    {
        Notes =
        [
            ("Status", """
                complete    a valid header came and every byte of the dump is there
                incomplete  bytes are missing, or nobody knows whether they are
                damaged     every byte is there, but a retransmission disagreed with what had been stored
                truncated   every byte came, the policy (--keep, --when-full) stored only the first ones
                headerless  contiguous from the first byte, but the client ended without a valid header
                receiving   the dump is running
                interrupted a server ended in the middle of it; its next start goes on
                pinned      beside the status: retention never deletes it
                """),
        ],
        Examples =
        [
            ("netdump-collector dumps list", "All dumps in ./dumps, or where NETDUMP_DIRECTORY says."),
            ("netdump-collector dumps list -d /var/crash --json", "The same for a program."),
            ("netdump-collector dumps list --store s3://crashes/lab", "All dumps that the object store has."),
            ("netdump-collector dumps list --cluster-file /run/secrets/netdump-cluster", "Ended dumps of all nodes of a fleet."),
        ],
    };

    private static readonly Documentation s_showDocumentation = new()
    {
        Examples =
        [
            ("netdump-collector dumps show 20261121T013940Z-5f3a9c1e", "By id; the start of one is enough when no other starts so."),
            ("netdump-collector dumps show web1.0 --json", "By host and number: the manifest as it is."),
        ],
    };

    private static readonly Documentation s_verifyDocumentation = new()
    {
        Notes =
        [
            ("Exit code", """
                0  everything that was looked at is whole
                1  something is missing, changed, incomplete, damaged or left over
                """),
        ],
        Examples =
        [
            ("netdump-collector dumps verify web1.0", "Compare length and SHA-256 of one dump with its manifest, and see whether bytes are missing."),
            ("netdump-collector dumps verify --all -d /var/crash", "The same for every dump."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io) => new("dumps", "Look at received dumps, keep or delete them.", s_documentation)
    {
        CreateList(io),
        CreateShow(io),
        CreateVerify(io),
        RemoveVerb.Create(io),
        PinVerb.Create("pin", pinned: true, io),
        PinVerb.Create("unpin", pinned: false, io),
        PruneVerb.Create(io),
        FetchVerb.Create(io),
    };

    private static DocumentedCommand CreateList(CommandIo io)
    {
        var command = new DocumentedCommand("list", "List the dumps, the oldest first.", s_listDocumentation);
        var settings = new SettingOptions(command, [SettingsTable.Directory, .. FleetCommand.Settings, SettingsTable.Config]);
        var store = StoreAccess.OptionsOf(command);
        var json = JsonFlag(command, "Print JSON.");
        command.SetAction(parseResult =>
        {
            if (store.Has(SettingsTable.Store, parseResult))
                return StoreAccess.With(store, parseResult, io, (_, options, stored) => Write(ListOf(stored, options.Location, io), parseResult.GetValue(json), io));
            if (FleetCommand.AddressOf(settings.Resolve(parseResult, io)) is not { } cluster)
                return WithCatalog(settings, parseResult, io, catalog => Write(DumpList.Of(catalog), parseResult.GetValue(json), io));
            if (FleetCommand.Dumps(cluster, io) is { } rows)
                return Write(DumpList.Of("the catalogue", rows), parseResult.GetValue(json), io);
            io.Complain("listing the dump directory of this machine instead");
            return WithCatalog(settings, parseResult, io, catalog => Write(DumpList.Of(catalog), parseResult.GetValue(json), io));
        });
        return command;
    }

    private static DumpList ListOf(StoreCatalog stored, StoreLocation location, CommandIo io)
    {
        var problems = new List<string>();
        var progress = new ProgressLine(io, TimeProvider.System);
        var dumps = stored.List(problems.Add, count => progress.Show($"{count} manifests read ..."));
        progress.Clear();
        return DumpList.Of(location.ToString(), dumps, problems);
    }

    private static int Write(DumpList list, bool asJson, CommandIo io)
    {
        if (asJson)
            list.WriteJson(io.Output);
        else
            list.WriteTable(io);
        return ExitCode.Ok;
    }

    private static DocumentedCommand CreateShow(CommandIo io)
    {
        var command = new DocumentedCommand("show", "Show everything about one dump.", s_showDocumentation);
        var id = PositionalArgument.Create("ID", required: true, "Id, the start of one, or HOST.N.");
        command.Add(id);
        var directory = DirectoryOptions(command);
        var json = JsonFlag(command, "Print the manifest.");
        command.SetAction(parseResult => WithCatalog(directory, parseResult, io, catalog =>
        {
            if (FindOne(catalog, parseResult.GetRequiredValue(id)!, io) is not CatalogedDump dump)
                return ExitCode.Failed;

            if (parseResult.GetValue(json))
                io.Output.Write(File.ReadAllText(dump.ManifestPath));
            else
                DumpDetails.Write(dump, io.Output);
            return ExitCode.Ok;
        }));
        return command;
    }

    private static DocumentedCommand CreateVerify(CommandIo io)
    {
        var command = new DocumentedCommand("verify", "Compare dumps with their manifests: lengths, SHA-256, missing bytes.", s_verifyDocumentation);
        var id = PositionalArgument.Create("ID", required: false, "Id, the start of one, or HOST.N.");
        var all = new Option<bool>("--all") { Description = "Every dump in the directory.", Arity = ArgumentArity.Zero };
        command.Add(id);
        command.Add(all);
        var directory = DirectoryOptions(command);
        command.SetAction(parseResult =>
        {
            string? key = parseResult.GetValue(id);
            if (key is null != parseResult.GetValue(all))
                throw new UsageException("verify needs either ID or --all");

            return WithCatalog(directory, parseResult, io, catalog => Verify(catalog, key, new(io), io));
        });
        return command;
    }

    private static int Verify(DumpCatalog catalog, string? key, DumpVerification verification, CommandIo io)
    {
        bool good = key is null
            ? verification.VerifyAll(catalog)
            : FindOne(catalog, key, io) is CatalogedDump dump && verification.Verify([dump]);
        return good ? ExitCode.Ok : ExitCode.Failed;
    }

    internal static SettingOptions DirectoryOptions(Command command) => new(command, [SettingsTable.Directory, SettingsTable.Config]);

    private static Option<bool> JsonFlag(Command command, string help)
    {
        var json = new Option<bool>("--json") { Description = help, Arity = ArgumentArity.Zero };
        command.Add(json);
        return json;
    }

    internal static int WithCatalog(SettingOptions directory, ParseResult parseResult, CommandIo io, Func<DumpCatalog, int> action)
    {
        try
        {
            return action(DumpCatalog.Read(directory.Resolve(parseResult, io).Value(SettingsTable.Directory)));
        }
        catch (Exception exception) when (exception is StorageException or IOException or UnauthorizedAccessException)
        {
            io.Complain(exception.Message);
            return ExitCode.CannotStart;
        }
    }

    /// <summary>The dumps that <paramref name="keys"/> mean, each once; null, and complaints, when one means none or several.</summary>
    internal static IReadOnlyList<CatalogedDump>? FindAll(DumpCatalog catalog, IEnumerable<string> keys, CommandIo io)
    {
        CatalogedDump?[] found = [.. keys.Select(key => FindOne(catalog, key, io))];
        return found.Contains(null) ? null : [.. found.OfType<CatalogedDump>().Distinct()];
    }

    /// <summary>The dump that <paramref name="key"/> means; null, and a complaint, when it means none or several.</summary>
    private static CatalogedDump? FindOne(DumpCatalog catalog, string key, CommandIo io)
    {
        var found = catalog.Find(key);
        if (found.Count == 1)
            return found[0];

        var partial = catalog.Partials.FirstOrDefault(partial => partial.Opened?.Identity.Id == key);
        if (partial is not null)
            io.Complain($"dump {key} has not ended: {DumpList.StatusOf(partial)}, {partial.Path}");
        else if (found.Count == 0)
            io.Complain($"no dump \"{key}\" in {catalog.Root}; 'dumps list' shows those there are");
        else
        {
            var named = found.Take(MaxNamedDumps).Select(dump => $"{dump.Manifest.Id} ({dump.Name})");
            io.Complain($"\"{key}\" means {found.Count} dumps: {string.Join(", ", named)}{(found.Count > MaxNamedDumps ? ", ..." : "")}");
        }

        return null;
    }
}
