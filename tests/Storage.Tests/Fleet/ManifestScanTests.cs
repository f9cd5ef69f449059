using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Storage.Tests.Fleet;

public sealed class ManifestScanTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void New_changed_and_deleted_dumps_are_found_once()
    {
        var scan = new ManifestScan(_temp.Path);
        Assert.Empty(scan.Look().Changes);

        var manifest = Write("web1", 0);
        var found = Assert.Single(scan.Look().Changes);
        Assert.Equal((manifest.Id, "vmcore.web1.0"), (found.DumpId, found.Dump!.Path));
        Assert.Empty(scan.Look().Changes);

        ManifestFile.Update(PathOf("web1", 0), old => old with { Pinned = true, Sha256 = new('a', 64) });
        var changed = Assert.Single(scan.Look().Changes);
        Assert.Contains("\"pinned\": true", changed.Dump!.Json, StringComparison.Ordinal);
        Assert.NotEqual(found.Dump.Digest, changed.Dump.Digest);
        Assert.Equal(changed.Dump, scan.Describe(manifest.Id));

        File.Delete(PathOf("web1", 0));
        Assert.Equal([new(manifest.Id, null)], scan.Look().Changes);
        Assert.Null(scan.Describe(manifest.Id));
    }

    [Fact]
    public void A_broken_manifest_is_told_of_and_hides_no_other()
    {
        var scan = new ManifestScan(_temp.Path);
        Write("web1", 0);
        File.WriteAllText(PathOf("web2", 0), "{");

        var seen = scan.Look();

        Assert.Single(seen.Changes);
        Assert.Contains("dump.web2.0.json", Assert.Single(seen.Problems), StringComparison.Ordinal);
        Assert.True(scan.IsWhole);
    }

    [Fact]
    public void Long_lists_of_ranges_are_cut()
    {
        var ranges = Enumerable.Range(0, 5000).Select(i => new Protocol.ByteRange((ulong)i * 10, (ulong)(i * 10) + 5)).ToArray();
        var manifest = Write("web1", 0, old => old with { Missing = ranges, MissingRanges = ranges.Length });

        var dump = Assert.Single(new ManifestScan(_temp.Path).Look().Changes).Dump!;

        Assert.InRange(dump.Json.Length, 1, 64 << 10);
        Assert.Contains("\"missingRanges\": 5000", dump.Json, StringComparison.Ordinal);
        Assert.Equal(ranges.Length, manifest.Missing.Count);
    }

    [Fact]
    public void Each_directory_has_a_number_that_stays()
    {
        var number = DirectoryNumber.Of(_temp.Path);

        Assert.Equal(number, DirectoryNumber.Of(_temp.Path));
        using var other = new TempDirectory();
        Assert.NotEqual(number, DirectoryNumber.Of(other.Path));
        File.WriteAllText(Path.Combine(_temp.Path, DirectoryNumber.Name), "nonsense");
        Assert.Contains("is not the number", Assert.Throws<StorageException>(() => DirectoryNumber.Of(_temp.Path)).Message, StringComparison.Ordinal);
    }

    private string PathOf(string host, int index) => Path.Combine(_temp.Path, $"dump.{host}.{index}.json");

    private Manifest Write(string host, long index, Func<Manifest, Manifest>? change = null)
    {
        var identity = Dumps.NewIdentity();
        var names = new CoreNames { Host = host, Index = index, Core = $"vmcore.{host}.{index}" };
        var manifest = Manifest.Of(identity, names, Dumps.Complete(100_000), Dumps.Circumstances(host), 100_000);
        manifest = change?.Invoke(manifest) ?? manifest;
        ManifestFile.Write(PathOf(host, (int)index), manifest);
        return manifest;
    }
}
