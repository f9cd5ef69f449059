using System.CommandLine;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Dumps;

/// <summary><c>dumps rm</c>: deletes dumps with all their files.</summary>
internal static class RemoveVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Refused without --force", """
                A dump that is pinned, the newest complete one of its host, for some seconds after its end one
                whose client may still have to be answered, and for 24 hours a part that waits for the parts
                of other nodes. When one of several is refused, or not there,
                none is deleted.
                """),
        ],
        Examples =
        [
            ("netdump-collector dumps rm web1.0 web1.1 --dry-run", "Show what would be deleted."),
            ("netdump-collector dumps rm 20261121T013940Z-5f3a9c1e", "Delete a dump, its key, info file and manifest."),
            ("netdump-collector dumps rm web1.2 --force", "The same for a pinned one, or for the newest complete one of web1."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("rm", "Delete dumps.", s_documentation);
        var ids = PositionalArgument.CreateSeveral("ID", "Ids, starts of ids, or HOST.N.");
        var dryRun = DryRunFlag();
        var force = new Option<bool>("--force") { Description = "Also what is pinned, in use, or the newest complete dump of its host.", Arity = ArgumentArity.Zero };
        command.Add(ids);
        command.Add(dryRun);
        command.Add(force);
        var directory = DumpsVerb.DirectoryOptions(command);
        command.SetAction(parseResult => DumpsVerb.WithCatalog(directory, parseResult, io, catalog =>
        {
            bool isForced = parseResult.GetValue(force);
            if (DumpsVerb.FindAll(catalog, parseResult.GetRequiredValue(ids), io) is not { } dumps)
                return ExitCode.Failed;
            var now = TimeProvider.System.GetUtcNow();
            var all = RetentionCandidate.Of(catalog, now, new DumpNeeds(TimeSpan.Zero));
            RetentionCandidate[] going = [.. dumps.Select(dump => all.First(candidate => candidate.Dump == dump))];
            if (!isForced && Refuses(all, going, io))
                return ExitCode.Failed;

            if (!parseResult.GetValue(dryRun))
                return Remove(going, catalog.Root, candidate => isForced ? DumpRemoval.Remove(candidate.Dump)
                    : DumpRetention.Remove(candidate, RetentionPlanner.NewestCompleteOf(candidate.Dump.Manifest.Host, all), now, new DumpNeeds(TimeSpan.Zero)), io);
            foreach (var dump in dumps)
                io.Output.WriteLine($"Would delete {Describe(dump)}");
            return ExitCode.Ok;
        }));
        return command;
    }

    public static Option<bool> DryRunFlag() => new("--dry-run") { Description = "Show what would be deleted, delete nothing.", Arity = ArgumentArity.Zero };

    /// <summary>Deletes what an interrupted deletion left, so that it is gone whether a server runs or not.</summary>
    public static void FinishInterrupted(string root, CommandIo io)
    {
        if (DumpRemoval.FinishInterrupted(root, io.Complain) is > 0 and var finished)
            io.Output.WriteLine($"Finished {finished} interrupted deletion{(finished == 1 ? "" : "s")}");
    }

    public static string Describe(CatalogedDump dump) => $"{dump.Name} ({dump.Manifest.Id}, {ByteSize.Format(dump.Manifest.Bytes)})";

    private static bool Refuses(IReadOnlyList<RetentionCandidate> all, RetentionCandidate[] going, CommandIo io)
    {
        bool refuses = false;
        foreach (var candidate in going)
        {
            if (RetentionPlanner.ProtectionOf(candidate, all) is not string protection)
                continue;
            io.Complain($"{candidate.Dump.Name} ({candidate.Dump.Manifest.Id}) {protection}; --force deletes it, now nothing is deleted");
            refuses = true;
        }

        return refuses;
    }

    private static int Remove(RetentionCandidate[] going, string root, Func<RetentionCandidate, bool> remove, CommandIo io)
    {
        int exitCode = ExitCode.Ok;
        FinishInterrupted(root, io);
        foreach (var candidate in going)
        {
            var dump = candidate.Dump;
            try
            {
                if (remove(candidate))
                {
                    io.Output.WriteLine($"Deleted {Describe(dump)}");
                    continue;
                }

                io.Complain($"{dump.Name} ({dump.Manifest.Id}) has been deleted meanwhile, or pinned, or is kept because a newer one has been deleted");
            }
            catch (StorageException e)
            {
                io.Complain(e.Message);
            }

            exitCode = ExitCode.Failed;
        }

        return exitCode;
    }
}
