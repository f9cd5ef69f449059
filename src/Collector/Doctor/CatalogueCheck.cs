using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the fleet's catalogue answers and fits this program, and whether other nodes can be shown a token; nothing is written to it.</summary>
internal static class CatalogueCheck
{
    public const string Subject = "catalogue";

    public static IEnumerable<Finding> Look(CollectorSettings settings, CancellationToken stop)
    {
        if (!settings.HasFleet)
            return [new(FindingLevel.Ok, Subject, "none (--cluster)")];
        try
        {
            var address = FleetHost.AddressOf(settings.Cluster, settings.ClusterFile)!;
            return [AskAsync(address, stop).GetAwaiter().GetResult(), .. TokenOf(settings.NodeTokenFile)];
        }
        catch (UsageException e)
        {
            return [Finding.FromSentence(FindingLevel.Problem, Subject, $"serve would not start: {e.Message}")];
        }
    }

    /// <param name="address">The catalogue.</param>
    /// <param name="version">Of its tables; 0 where it has none.</param>
    public static Finding Judge(ClusterAddress address, int version) => version >= FleetSchema.Version
        ? new(FindingLevel.Ok, Subject, $"{address} answers; its schema is version {version}, which fits this program's {FleetSchema.Version}")
        : new(FindingLevel.Warning, Subject, $"{address} answers; {(version == 0 ? "it has no tables yet" : $"its schema is version {version}, older than this program's {FleetSchema.Version}")}: serve changes that when it connects, if its user may", "netdump-collector db migrate, as a user who may create tables");

    private static async Task<Finding> AskAsync(ClusterAddress address, CancellationToken stop)
    {
        try
        {
            await using var reader = FleetReader.Open(address, "doctor");
            return Judge(address, await reader.VersionAsync(stop).ConfigureAwait(false));
        }
        catch (FleetException e)
        {
            // Dumps are taken all the same.
            string sentence = $"{address}: {e.Message}";
            return e.Message.Contains("; ", StringComparison.Ordinal) ? Finding.FromSentence(FindingLevel.Warning, Subject, sentence)
                : new(FindingLevel.Warning, Subject, $"{sentence}: other nodes do not know of dumps here", "correct --cluster or --cluster-file, or look at the database; 'netdump-collector db status' asks it again");
        }
    }

    private static IEnumerable<Finding> TokenOf(string? file)
    {
        if (file is null)
            yield break;
        string? problem = null;
        try
        {
            _ = NodeToken.Read(file);
        }
        catch (StorageException e)
        {
            problem = e.Message;
        }

        yield return problem is null
            ? new(FindingLevel.Ok, Subject, $"node token file {file}: can be read")
            : new(FindingLevel.Warning, Subject, $"{problem}: other nodes give no parts of dumps", "name by --node-token-file a file with the token alone, which the other nodes have in their --token-file");
    }
}
