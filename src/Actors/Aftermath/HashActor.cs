using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Aftermath;

/// <summary>Computes the SHA-256 of finished dumps one after the other and writes it into their manifests.</summary>
/// <param name="logger">Told of files that cannot be read.</param>
/// <param name="stopping">The server ends.</param>
/// <param name="onHashed">Told of each manifest that has its hash.</param>
public sealed class HashActor(ILogger logger, CancellationToken stopping, Action<string>? onHashed = null) : Actor<HashActor.Message>
{
    public abstract record Message;

    /// <summary>A dump whose manifest says that the hash is pending.</summary>
    public sealed record HashDump(string ManifestPath) : Message;

    /// <summary>Looks for dumps whose hash an earlier run of the collector did not get to.</summary>
    public sealed record HashLeftOvers(string Root) : Message;

    /// <summary>Called between a file's reading and the noting of its hash.</summary>
    internal Action<string>? OnRead { get; init; }

    protected override void Receive(Message message)
    {
        if (stopping.IsCancellationRequested)
            return;

        switch (message)
        {
            case HashDump one:
                Hash(one.ManifestPath);
                break;
            case HashLeftOvers all:
                foreach (var dump in DumpCatalog.Read(all.Root).Dumps)
                {
                    if (dump.Manifest.HashState == HashState.Pending && !stopping.IsCancellationRequested)
                        Hash(dump.ManifestPath);
                }

                break;
        }
    }

    private void Hash(string manifestPath)
    {
        try
        {
            var manifest = ManifestFile.Read(manifestPath);
            // Of a file that is being written the hash says nothing.
            if (manifest is not { HashState: HashState.Pending, Stitching: false })
                return;

            string core = Path.Combine(Path.GetDirectoryName(manifestPath)!, manifest.Files.Vmcore);
            var writtenAt = File.GetLastWriteTimeUtc(core);
            string? hash = Compute(core);
            OnRead?.Invoke(core);
            ManifestFile.Update(manifestPath, m => IsUnchanged(manifest, m) && File.GetLastWriteTimeUtc(core) == writtenAt ? m with { Sha256 = hash, HashState = hash is null ? HashState.Failed : HashState.Done } : m);
            onHashed?.Invoke(manifestPath);
        }
        catch (OperationCanceledException)
        {
            // The manifest still says pending; the next start finds it.
        }
        catch (StorageException e)
        {
            CollectorLog.ManifestNotUpdated(logger, manifestPath, e.Message);
        }
    }

    /// <summary>Nothing was written into the file since; who does that has it hashed anew.</summary>
    private static bool IsUnchanged(Manifest before, Manifest now) => now is { HashState: HashState.Pending, Stitching: false } && (before.Bytes, before.CoveredBytes) == (now.Bytes, now.CoveredBytes);

    private string? Compute(string core)
    {
        try
        {
            return DumpHash.Compute(core, stopping);
        }
        catch (StorageException e)
        {
            CollectorLog.HashFailed(logger, core, e.Message);
            return null;
        }
    }
}
