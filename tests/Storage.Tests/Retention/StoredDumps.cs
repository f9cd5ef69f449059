using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Retention;

/// <summary>Ended dumps as they lie in a directory.</summary>
internal static class StoredDumps
{
    public static readonly DateTimeOffset Now = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    /// <summary>Writes a dump of <paramref name="host"/> with all its files, and points the links to it.</summary>
    public static CatalogedDump Write(string directory, string host, long index, int bytes = 100, bool hasKey = false, DumpCompression compression = DumpCompression.None, int daysOld = 0)
    {
        var summary = Dumps.Complete((ulong)bytes, Dumps.Header((ulong)bytes, hasKey ? 512u : 0, compression)) with { Key = hasKey ? Dumps.Pattern(10) : null };
        var names = CoreNames.Of(summary, host, index);
        var startedAt = Now.AddDays(-daysOld);
        var manifest = Manifest.Of(new(DumpId.New(startedAt), Dumps.Client, startedAt), names, summary, Dumps.Circumstances(host), bytes);
        File.WriteAllBytes(Path.Join(directory, names.Core), Dumps.Pattern(bytes));
        File.WriteAllText(Path.Join(directory, names.Info), "Dump complete\n");
        if (hasKey)
            File.WriteAllBytes(Path.Join(directory, names.Key), Dumps.Pattern(10));
        foreach (var (link, target) in ((string, string)[])[(names.CoreLink, names.Core), (names.InfoLink, names.Info)])
        {
            File.Delete(Path.Join(directory, link));
            File.CreateSymbolicLink(Path.Join(directory, link), target);
        }

        string path = Path.Join(directory, names.Manifest);
        ManifestFile.Write(path, manifest);
        return new(path, manifest);
    }
}
