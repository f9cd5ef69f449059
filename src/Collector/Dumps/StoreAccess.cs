using System.CommandLine;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Dumps;

/// <summary>The object store, for commands.</summary>
internal static class StoreAccess
{
    /// <summary>The options that say which store.</summary>
    public static SettingOptions OptionsOf(Command command) => new(command, [SettingsTable.Store, SettingsTable.StoreEndpoint, SettingsTable.StoreRegion, SettingsTable.StorePathStyle]);

    /// <summary>Does something with the store that the settings name, or with the bucket of <paramref name="url"/> where that is an address in one.</summary>
    public static int With(SettingOptions settings, ParseResult parseResult, CommandIo io, Func<IObjectStore, StoreOptions, StoreCatalog, int> action, string? url = null)
    {
        var bucket = StoreLocation.TryParse(url ?? "", out var location) ? location with { Prefix = "" } : null;
        var options = settings.Resolve(parseResult, io).ToStore(bucket)
            ?? throw new UsageException("no object store is named: --store s3://BUCKET/PREFIX, or the same setting in the environment or a file");
        try
        {
            using var store = new S3ObjectStore(options with { BytesPerSecond = null }, TimeProvider.System, io.Stop);
            return action(store, options, new StoreCatalog(store, options.Location));
        }
        catch (OperationCanceledException)
        {
            io.Complain("interrupted");
            return ExitCode.Failed;
        }
        catch (Exception e) when (e is ObjectStoreException or StorageException)
        {
            io.Complain(e.Message);
            return ExitCode.Failed;
        }
    }
}
