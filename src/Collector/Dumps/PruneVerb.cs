using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Dumps;

/// <summary><c>dumps prune</c>: deletes what retention does not keep, as the server does in the background.</summary>
internal static class PruneVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Retention", """
                The settings are those of 'serve', from the same places. Never deleted: the newest complete dump of
                a host, what is pinned, what is still in use, with --store what is not in the object store yet, for
                24 hours what another node may need to make a dump whole (with --cluster and without --takeover any
                incomplete dump). These count as any other, so a limit may stay exceeded.
                """),
        ],
        Examples =
        [
            ("netdump-collector dumps prune --retain-age 30d --retain-count 5 --dry-run", "Show what that policy would delete, and why."),
            ("netdump-collector dumps prune --config /etc/netdump-collector.json", "Delete what the server's own policy does not keep."),
            ("netdump-collector dumps prune -d /var/crash --retain-size 500G", "Delete the oldest dumps until 500 GiB are left."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("prune", "Delete the dumps that retention does not keep.", s_documentation);
        var dryRun = RemoveVerb.DryRunFlag();
        command.Add(dryRun);
        var options = new SettingOptions(command, [SettingsTable.Directory, SettingsTable.Config, SettingsTable.RetainAge, SettingsTable.RetainCount, SettingsTable.RetainSize, SettingsTable.Store, .. FleetCommand.Settings, SettingsTable.Takeover]);
        command.SetAction(parseResult => DumpsVerb.WithCatalog(options, parseResult, io, catalog =>
        {
            var settings = options.Resolve(parseResult, io);
            var policy = settings.ToRetention();
            if (policy.IsOff)
                throw new UsageException("prune needs a policy: --retain-age, --retain-count or --retain-size, or the same settings in the environment or a file");

            var now = TimeProvider.System.GetUtcNow();
            var needs = new DumpNeeds(TimeSpan.Zero, Store: settings.Value(SettingsTable.Store) is not null,
                Parts: FleetCommand.AddressOf(settings) is not null && !settings.Value(SettingsTable.Takeover));
            var removals = RetentionPlanner.Plan(RetentionCandidate.Of(catalog, now, needs), policy, now);
            return parseResult.GetValue(dryRun) ? Show(catalog, removals, io) : Prune(catalog.Root, removals, now, needs, io);
        }));
        return command;
    }

    private static int Show(DumpCatalog catalog, IReadOnlyList<Removal> removals, CommandIo io)
    {
        foreach (var removal in removals)
            io.Output.WriteLine($"Would delete {RemoveVerb.Describe(removal.Candidate.Dump)}: {removal.Reason}");
        io.Output.WriteLine($"{removals.Count} of {catalog.Dumps.Count} dumps, {ByteSize.Format(removals.Sum(removal => (double)removal.Candidate.Bytes))}");
        return ExitCode.Ok;
    }

    private static int Prune(string root, IReadOnlyList<Removal> removals, DateTimeOffset now, DumpNeeds needs, CommandIo io)
    {
        int exitCode = ExitCode.Ok;
        RemoveVerb.FinishInterrupted(root, io);
        foreach (var result in DumpRetention.Carry(removals, now, needs))
        {
            if (result.IsRemoved)
                io.Output.WriteLine($"Deleted {RemoveVerb.Describe(result.Removal.Candidate.Dump)}: {result.Removal.Reason}");
            else if (result.Error is string error)
            {
                io.Complain(error);
                exitCode = ExitCode.Failed;
            }

            if (io.Stop.IsCancellationRequested)
            {
                io.Complain("interrupted");
                return ExitCode.Failed;
            }
        }

        return exitCode;
    }
}
