using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the object store takes dumps: a small object is written there, read and removed, and an upload in parts begun and given up.</summary>
internal static class ObjectStoreCheck
{
    public const string Subject = "object store";

    public static IEnumerable<Finding> Look(CollectorSettings settings, CancellationToken stop)
    {
        if (settings.Store is not { } options)
            return [new(FindingLevel.Ok, Subject, "none (--store)")];
        try
        {
            options.Check();
        }
        catch (StorageException e)
        {
            return [Finding.FromSentence(FindingLevel.Problem, Subject, $"serve would not start: {e.Message}")];
        }

        try
        {
            using var store = new S3ObjectStore(options with { BytesPerSecond = null }, TimeProvider.System, stop);
            return [Try(store, options)];
        }
        catch (ObjectStoreException e)
        {
            // Dumps are taken all the same, and stay where they are.
            return [Finding.FromSentence(FindingLevel.Warning, Subject, e.Message)];
        }
    }

    private static Finding Try(S3ObjectStore store, StoreOptions options)
    {
        byte[] content = "netdump-collector doctor\n"u8.ToArray();
        string key = $"{options.Location.Prefix}.doctor-{Guid.NewGuid():n}";
        store.Probe();
        string upload = store.BeginUpload(key);
        store.AbortUpload(key, upload);
        _ = store.Uploads(options.Location.Prefix).FirstOrDefault();
        bool isNew = store.Put(key, content, replacing: null);
        try
        {
            bool isRefused = !store.Put(key, content, replacing: null);
            bool isSame = store.ReadSmall(key, content.Length) is var (read, _) && read.AsSpan().SequenceEqual(content);
            if (!isNew || !isSame)
                return new(FindingLevel.Warning, Subject, $"{options.Location} does not give back what was written to it", "use a store that is consistent");
            return isRefused
                ? new(FindingLevel.Ok, Subject, $"{options.Location} can be read and written{(options is { KeyFile: null, PublicKeyFile: null } ? "" : "; dumps are encrypted on the way")}")
                : new(FindingLevel.Warning, Subject, $"{options.Location} can be read and written, but ignores If-None-Match: two nodes that store the same dump would replace each other's manifest", "use a store that knows conditional writes where several nodes may have the same dump");
        }
        finally
        {
            store.Delete(key);
        }
    }
}
