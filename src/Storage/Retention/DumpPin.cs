namespace NetdumpCollector.Storage;

/// <summary>Keeps dumps from retention. Recorded in the manifest, so that it moves with the dump.</summary>
public static class DumpPin
{
    /// <summary>Pins or unpins a dump; durable when this returns.</summary>
    /// <returns>False when it was so already.</returns>
    /// <exception cref="StorageException">The manifest could not be read or replaced, or the dump is gone.</exception>
    public static bool Set(CatalogedDump dump, bool pinned)
    {
        bool changed = false;
        ManifestFile.Update(dump.ManifestPath, manifest =>
        {
            if (manifest.Id != dump.Manifest.Id)
                throw new StorageException($"manifest {dump.ManifestPath}: is another dump's now");
            changed = manifest.Pinned != pinned;
            return manifest with { Pinned = pinned };
        });
        return changed;
    }
}
