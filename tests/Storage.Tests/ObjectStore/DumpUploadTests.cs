using System.Security.Cryptography;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.ObjectStore;
using NetdumpCollector.Storage.Tests.Retention;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

public sealed class DumpUploadTests : IDisposable
{
    /// <summary>Three parts of 8 MiB and a rest.</summary>
    private const int LargeBytes = (24 << 20) + 12_345;

    private static readonly StoreLocation s_location = new("crashes", "lab/");

    private readonly TempDirectory _temp = new();
    private readonly MemoryObjectStore _store = new();
    private readonly Counts _counts = new();

    public void Dispose()
    {
        _temp.Dispose();
        _store.Dispose();
    }

    [Theory]
    [InlineData(StoreCompression.None, false, "vmcore")]
    [InlineData(StoreCompression.Gzip, false, "vmcore.gz")]
    [InlineData(StoreCompression.Zstd, false, "vmcore.zst")]
    [InlineData(StoreCompression.None, true, "vmcore.enc")]
    [InlineData(StoreCompression.Gzip, true, "vmcore.gz.enc")]
    [InlineData(StoreCompression.Zstd, true, "vmcore.zst.enc")]
    public void A_dump_comes_back_as_it_was(StoreCompression compression, bool isSealed, string vmcore)
    {
        var dump = Write(LargeBytes, hasKey: true);
        var options = Options(compression, isSealed);
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, options));

        string folder = s_location.FolderOf(dump.Manifest);
        Assert.Equal($"lab/{dump.Manifest.StartedAt.UtcDateTime:yyyy'/'MM'/'dd}/web/{dump.Manifest.Id}/", folder);
        string stored = vmcore.Replace("vmcore", dump.Manifest.Files.Vmcore.Split('.')[0], StringComparison.Ordinal);
        // What the kernel has encrypted is not compressed.
        stored = stored.Replace(".gz", "", StringComparison.Ordinal).Replace(".zst", "", StringComparison.Ordinal);
        Assert.Equal(new[] { "info.txt", "key", "manifest.json", stored }.Order(StringComparer.Ordinal), _store.Objects.Keys.Select(key => key[folder.Length..]));
        Assert.Equal(dump.Manifest.Id, ManifestFile.Read(dump.ManifestPath).Stored is { } noted ? ManifestFile.Parse("", _store.Objects[folder + "manifest.json"]).Id : "not noted");
        AssertFetched(dump, isSealed);
    }

    [Theory]
    [InlineData(StoreCompression.Gzip)]
    [InlineData(StoreCompression.Zstd)]
    public void What_compresses_well_becomes_few_parts_and_the_programs_own_tools_read_it(StoreCompression compression)
    {
        var dump = Write(LargeBytes, content: new byte[LargeBytes]);
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, Options(compression, isSealed: false)));
        var stored = ManifestFile.Read(dump.ManifestPath).Stored!;
        Assert.InRange(stored.Bytes, 1, 500_000);
        Assert.Equal(1, _store.PartsSent);
        AssertFetched(dump, isSealed: false);
    }

    [Fact]
    public void What_the_kernel_has_compressed_stays_as_it_is()
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0, 50_000, compression: DumpCompression.Zstd);
        Upload(dump, Options(StoreCompression.Zstd, isSealed: false));
        Assert.Equal("vmcore.zst", ManifestFile.Read(dump.ManifestPath).Stored!.Vmcore);
        Assert.Equal(File.ReadAllBytes(dump.VmcorePath), _store.Objects[s_location.FolderOf(dump.Manifest) + "vmcore.zst"]);
    }

    [Theory]
    [InlineData(StoreCompression.None, false)]
    [InlineData(StoreCompression.Zstd, true)]
    public void An_upload_that_broke_off_sends_only_what_is_missing(StoreCompression compression, bool isSealed)
    {
        var dump = Write(LargeBytes);
        var options = Options(compression, isSealed);
        int calls = 0;
        _store.Before = call => Fail(call == nameof(IObjectStore.UploadPart) && ++calls == 3);
        Assert.Throws<TimeoutException>(() => Upload(dump, options));
        using (var state = UploadState.Take(dump))
            Assert.NotNull(state?.Begun);
        Assert.Equal((2, 2), (_store.PartsSent, _counts.Sent));
        Assert.Single(_store.RunningUploads);
        Assert.Empty(_store.Objects);

        _store.Before = null;
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, options));
        Assert.Equal((4, 2), (_store.PartsSent, _counts.Reused));
        Assert.Empty(Directory.GetFiles(_temp.Path, ".upload.*"));
        AssertFetched(dump, isSealed);
    }

    [Fact]
    public void An_upload_is_continued_at_whatever_call_it_broke_off()
    {
        var dump = Write(100_000);
        for (int at = 0; ; at++)
        {
            int calls = 0;
            _store.Before = _ => Fail(calls++ == at);
            try
            {
                _ = Upload(dump, Options(StoreCompression.None, isSealed: false));
                break;
            }
            catch (TimeoutException)
            {
                Assert.Null(ManifestFile.Read(dump.ManifestPath).Stored);
            }
        }

        Assert.Equal(1, _store.PartsSent);
        Assert.Empty(_store.RunningUploads);
        AssertFetched(dump, isSealed: false);
    }

    [Fact]
    public void An_upload_that_the_store_has_lost_is_begun_anew()
    {
        var dump = Write(LargeBytes);
        bool lost = false;
        _store.Before = call =>
        {
            if (call == nameof(IObjectStore.UploadPart) && _store.PartsSent == 2 && !lost)
            {
                lost = true;
                _store.LoseUploads();
            }
        };
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, Options(StoreCompression.None, isSealed: true)));
        Assert.True(lost);
        AssertFetched(dump, isSealed: true);
    }

    [Fact]
    public void Other_settings_give_up_what_was_begun_with_those_before()
    {
        var dump = Write(LargeBytes);
        _store.Before = call => Fail(call == nameof(IObjectStore.CompleteUpload));
        Assert.Throws<TimeoutException>(() => Upload(dump, Options(StoreCompression.None, isSealed: false)));
        _store.Before = null;
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, Options(StoreCompression.None, isSealed: true)));
        Assert.Empty(_store.RunningUploads);
        AssertFetched(dump, isSealed: true);
    }

    [Fact]
    public void A_dump_that_is_there_is_not_sent_again_by_another_node()
    {
        var dump = Write(100_000);
        Upload(dump, Options(StoreCompression.None, isSealed: true));
        var objects = _store.Objects.ToDictionary();
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Stored = null });
        Assert.Equal(UploadOutcome.WasThere, Upload(dump, Options(StoreCompression.None, isSealed: true)));
        Assert.Equal(1, _store.PartsSent);
        Assert.Equal(objects, _store.Objects);
        Assert.NotNull(ManifestFile.Read(dump.ManifestPath).Stored);
    }

    [Theory]
    [InlineData(nameof(IObjectStore.CompleteUpload))]
    [InlineData(nameof(IObjectStore.Put))]
    [InlineData(nameof(IObjectStore.Head))]
    [InlineData(nameof(IObjectStore.UploadPart))]
    public void Of_two_nodes_that_send_the_same_dump_one_wins_and_the_manifest_agrees_with_what_is_there(string meanwhile)
    {
        string ours = Directory.CreateDirectory(_temp.File("ours")).FullName, theirs = Directory.CreateDirectory(_temp.File("theirs")).FullName;
        var dump = StoredDumps.Write(ours, "web", 0, 100_000);
        foreach (string file in Directory.GetFiles(ours))
            File.Copy(file, Path.Join(theirs, Path.GetFileName(file)));
        var copy = new CatalogedDump(Path.Join(theirs, Path.GetFileName(dump.ManifestPath)), dump.Manifest);
        var options = Options(StoreCompression.None, isSealed: true);
        bool raced = false;
        _store.Before = call =>
        {
            if (call == meanwhile && !raced)
            {
                raced = true;
                _ = new DumpUpload(_store, options, TimeProvider.System, _counts).Run(theirs, copy, CancellationToken.None);
            }
        };

        _ = new DumpUpload(_store, options, TimeProvider.System, _counts).Run(ours, dump, CancellationToken.None);
        // Whoever was told to look again does so.
        foreach (var (root, each) in ((string, CatalogedDump)[])[(ours, dump), (theirs, copy)])
            Assert.NotEqual(UploadOutcome.Elsewhere, new DumpUpload(_store, options, TimeProvider.System, _counts).Run(root, each, CancellationToken.None));

        Assert.True(raced);
        Assert.Equal(3, _store.Objects.Count);
        Assert.Empty(_store.RunningUploads);
        AssertFetched(dump, isSealed: true);
    }

    [Fact]
    public void Another_dump_of_the_same_id_is_neither_replaced_nor_taken_for_this_one()
    {
        var dump = Write(1_000);
        Upload(dump, Options(StoreCompression.None, isSealed: false));
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Stored = null, Sha256 = new string('0', 64) });
        Assert.Contains("another dump", Assert.Throws<StorageException>(() => Upload(dump, Options(StoreCompression.None, isSealed: false))).Message, StringComparison.Ordinal);
        Assert.Null(ManifestFile.Read(dump.ManifestPath).Stored);
    }

    [Fact]
    public void A_file_that_is_not_what_was_received_is_not_uploaded()
    {
        var dump = Write(1_000);
        byte[] content = File.ReadAllBytes(dump.VmcorePath);
        content[5] ^= 1;
        File.WriteAllBytes(dump.VmcorePath, content);
        Assert.Contains("is not what was received", Assert.Throws<StorageException>(() => Upload(dump, Options(StoreCompression.None, isSealed: false))).Message, StringComparison.Ordinal);
        File.WriteAllBytes(dump.VmcorePath, content[1..]);
        Assert.Contains("999 bytes", Assert.Throws<StorageException>(() => Upload(dump, Options(StoreCompression.None, isSealed: false))).Message, StringComparison.Ordinal);
        Assert.DoesNotContain(_store.Objects.Keys, key => key.EndsWith("manifest.json", StringComparison.Ordinal));
    }

    [Fact]
    public void A_dump_that_is_being_made_whole_is_left_for_later()
    {
        var dump = Write(1_000);
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Stitching = true });
        Assert.Equal(UploadOutcome.Elsewhere, Upload(dump, Options(StoreCompression.None, isSealed: false)));
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Stitching = false, CoveredBytes = manifest.CoveredBytes - 1 });
        Assert.Equal(UploadOutcome.Elsewhere, new DumpUpload(_store, Options(StoreCompression.None, isSealed: false), TimeProvider.System, _counts).Run(_temp.Path, dump, CancellationToken.None));
        // Its key has come, and nothing else.
        ManifestFile.Update(dump.ManifestPath, _ => dump.Manifest with { Files = dump.Manifest.Files with { Key = "key.web.0" } });
        Assert.Equal(UploadOutcome.Elsewhere, new DumpUpload(_store, Options(StoreCompression.None, isSealed: false), TimeProvider.System, _counts).Run(_temp.Path, dump, CancellationToken.None));
        ManifestFile.Update(dump.ManifestPath, _ => dump.Manifest with { Status = DumpStatus.Damaged });
        Assert.Equal(UploadOutcome.Elsewhere, new DumpUpload(_store, Options(StoreCompression.None, isSealed: false), TimeProvider.System, _counts).Run(_temp.Path, dump, CancellationToken.None));
        Assert.Empty(_store.Objects);
    }

    [Fact]
    public void Only_one_process_uploads_a_dump_of_a_directory()
    {
        var dump = Write(1_000);
        using (UploadState.Take(dump))
            Assert.Equal(UploadOutcome.Elsewhere, Upload(dump, Options(StoreCompression.None, isSealed: false)));
        Assert.Equal(UploadOutcome.Uploaded, Upload(dump, Options(StoreCompression.None, isSealed: false)));
    }

    [Fact]
    public void Changed_objects_are_noticed_when_they_are_fetched()
    {
        var dump = Write(100_000);
        Upload(dump, Options(StoreCompression.None, isSealed: true));
        string key = s_location.FolderOf(dump.Manifest) + "vmcore.enc";
        var manifest = ManifestFile.Parse("", _store.Objects[s_location.FolderOf(dump.Manifest) + "manifest.json"]);
        byte[] content = _store.Objects[key];
        content[^5] ^= 1;
        // One who changed the object only, and one who made the manifest agree with it.
        Assert.Contains("SHA-256", Assert.Throws<StorageException>(() => Fetch(manifest, "changed")).Message, StringComparison.Ordinal);
        var forged = manifest.Stored! with { Sha256 = Convert.ToHexStringLower(SHA256.HashData(content)) };
        Assert.Contains("tampered", Assert.Throws<StorageException>(() => Fetch(manifest with { Stored = forged }, "forged")).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_temp.File("forged"), "vmcore*"));
    }

    [Fact]
    public void A_fetch_that_broke_off_goes_on()
    {
        var dump = Write(LargeBytes);
        Upload(dump, Options(StoreCompression.None, isSealed: false));
        var manifest = ManifestFile.Read(dump.ManifestPath);
        string directory = Directory.CreateDirectory(_temp.File("fetched")).FullName;
        byte[] object_ = _store.Objects[s_location.FolderOf(dump.Manifest) + "vmcore"];
        File.WriteAllBytes(Path.Join(directory, $".{manifest.Id}.{manifest.Stored!.Sha256.AsSpan(0, 8)}.fetch"), object_[..5_000_000]);
        var steps = new List<(string Step, long Done)>();
        new DumpFetch(_store, s_location).Run(manifest, directory, null, (step, done, _) => steps.Add((step, done)), CancellationToken.None);
        Assert.Equal(object_, File.ReadAllBytes(Path.Join(directory, manifest.Files.Vmcore)));
        Assert.True(steps.First(step => step.Step == "fetching").Done > 5_000_000);
        Assert.Throws<StorageException>(() => new DumpFetch(_store, s_location).Run(manifest, directory, null, (_, _, _) => { }, CancellationToken.None));
    }

    private static void Fail(bool now)
    {
        if (now)
            throw new TimeoutException("the process is killed");
    }

    private CatalogedDump Write(int bytes, bool hasKey = false, byte[]? content = null)
    {
        var dump = StoredDumps.Write(_temp.Path, "web", 0, bytes, hasKey);
        // What does not compress has as many parts compressed as not.
        content ??= bytes == LargeBytes ? RandomNumberGenerator.GetBytes(bytes) : null;
        if (content is not null)
            File.WriteAllBytes(dump.VmcorePath, content);
        string hash = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(dump.VmcorePath)));
        return dump with { Manifest = ManifestFile.Update(dump.ManifestPath, manifest => manifest with { Sha256 = hash, HashState = HashState.Done }) };
    }

    private StoreOptions Options(StoreCompression compression, bool isSealed)
    {
        if (isSealed && !File.Exists(_temp.File("secret")))
            File.WriteAllBytes(_temp.File("secret"), RandomNumberGenerator.GetBytes(32));
        return new() { Location = s_location, Compression = compression, KeyFile = isSealed ? _temp.File("secret") : null };
    }

    private UploadOutcome Upload(CatalogedDump dump, StoreOptions options) =>
        new DumpUpload(_store, options, TimeProvider.System, _counts).Run(_temp.Path, dump with { Manifest = ManifestFile.Read(dump.ManifestPath) }, CancellationToken.None);

    private string Fetch(Manifest manifest, string directory) =>
        new DumpFetch(_store, s_location).Run(manifest, Directory.CreateDirectory(_temp.File(directory)).FullName, _temp.File("secret"), (_, _, _) => { }, CancellationToken.None);

    private void AssertFetched(CatalogedDump dump, bool isSealed)
    {
        var stored = Assert.Single(new StoreCatalog(_store, s_location).Find(dump.Manifest.Id, problem => Assert.Fail(problem)));
        string directory = Directory.CreateDirectory(_temp.File("fetched")).FullName;
        string path = new DumpFetch(_store, s_location).Run(stored, directory, isSealed ? _temp.File("secret") : null, (_, _, _) => { }, CancellationToken.None);
        Assert.Equal(File.ReadAllBytes(dump.VmcorePath), File.ReadAllBytes(path));
        var fetched = Assert.Single(DumpCatalog.Read(directory).Dumps);
        Assert.True(DumpVerifier.Verify(fetched, CancellationToken.None).IsGood);
        Assert.Empty(Directory.GetFiles(directory, ".*"));
    }

    private sealed class Counts : IUploadMeter
    {
        public int Sent { get; private set; }
        public int Reused { get; private set; }

        public void PartSent(long bytes) => Sent++;

        public void PartReused(long bytes) => Reused++;
    }
}
