using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Dumps;

/// <summary><c>dumps fetch</c>: brings a dump back from the object store.</summary>
internal static class FetchVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("What it does", """
                Fetches the dump, compares its SHA-256 with what was stored, decrypts and decompresses it, and
                compares the result with the dump's own SHA-256. In the directory are then the files that the
                collector had: 'dumps verify' and 'dumps show' work there. A fetch that breaks off goes on with the
                same command. Needs nothing but the credentials of the store, and the key where there is one.
                """),
        ],
        Examples =
        [
            ("netdump-collector dumps fetch 20261121T013940Z-5f3a9c1e --store s3://crashes/lab", "Into the working directory; the start of an id is enough when no other starts so."),
            ("netdump-collector dumps fetch s3://crashes/lab/2026/11/21/web1/20261121T013940Z-5f3a9c1e/ --output /tmp/web1", "By the address that 'dumps list --store' shows."),
            ("netdump-collector dumps fetch 20261121T013940Z-5f3a9c1e --store s3://crashes/lab --key dumps.key", "One that was encrypted: with the key file, or the private key."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("fetch", "Fetch a dump from the object store.", s_documentation);
        var id = PositionalArgument.Create("ID|URL", required: true, "Id, the start of one, or the dump's address in the store.");
        var output = new ValueOption<string>("--output", "DIR", SettingValues.TryPath, ".", "a directory path", "Directory the files go to; it is created when missing.");
        var key = new ValueOption<string?>("--key", "FILE", SettingValues.TryOptionalPath, null, "a file path", "File with the key that the dump was encrypted with: the 32 bytes of --store-key, or the private key (PEM) to --store-public-key.");
        command.Add(id);
        command.Add(output);
        command.Add(key);
        var settings = StoreAccess.OptionsOf(command);
        command.SetAction(parseResult =>
        {
            string wanted = parseResult.GetRequiredValue(id)!;
            return StoreAccess.With(settings, parseResult, io, (store, options, stored) =>
                Find(stored, wanted, options.Location, io) is { } dump ? Fetch(store, options.Location, dump, output.Read(parseResult)!, key.Read(parseResult), io) : ExitCode.Failed, url: wanted);
        });
        return command;
    }

    private static Manifest? Find(StoreCatalog stored, string wanted, StoreLocation location, CommandIo io)
    {
        var found = stored.Find(wanted, io.Complain);
        if (found.Count == 1)
            return found[0];
        io.Complain(found.Count == 0
            ? $"no dump \"{wanted}\" in {location}; 'dumps list --store' shows those there are"
            : $"\"{wanted}\" means {found.Count} dumps: {string.Join(", ", found.Take(5).Select(dump => dump.Id))}{(found.Count > 5 ? ", ..." : "")}");
        return null;
    }

    private static int Fetch(IObjectStore store, StoreLocation location, Manifest dump, string directory, string? keyFile, CommandIo io)
    {
        var progress = new ProgressLine(io, TimeProvider.System);
        try
        {
            Directory.CreateDirectory(directory);
            string path = new DumpFetch(store, location).Run(dump, directory, keyFile, (step, done, total) => progress.Show(done, total, step), io.Stop);
            progress.Clear();
            io.Output.WriteLine($"Fetched {path} ({dump.Id}, {ByteSize.Format(dump.Bytes)}, {dump.Status.ToString().ToLowerInvariant()})");
            return ExitCode.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            progress.Clear();
            io.Complain($"{directory}: {e.Message}");
            return ExitCode.Failed;
        }
        catch
        {
            progress.Clear();
            throw;
        }
    }
}
