namespace NetdumpCollector.Storage.Tests.Catalog;

public sealed class DumpCatalogTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public DumpCatalogTests()
    {
        Directory.CreateDirectory(_temp.File("root/sub"));
        _directory = DumpDirectory.Open(_temp.File("root"), null);
    }

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void Lists_ended_dumps_of_all_directories_by_age()
    {
        Commit("20261121T000003Z-aaaa0001", 3, "web");
        Commit("20261121T000001Z-aaaa0002", 1, "db", "sub");

        var catalog = DumpCatalog.Read(_directory.Root);

        Assert.Equal(["db.0", "web.0"], catalog.Dumps.Select(dump => dump.Name));
        Assert.Equal(_temp.File("root/sub/vmcore.db.0"), catalog.Dumps[0].VmcorePath);
        Assert.Equal(_temp.File("root/sub/info.db.0"), catalog.Dumps[0].InfoPath);
        Assert.Null(catalog.Dumps[0].KeyPath);
        Assert.Empty(catalog.Partials);
        Assert.Empty(catalog.Problems);
    }

    [Fact]
    public void Finds_by_id_by_name_and_by_the_start_of_an_id()
    {
        Commit("20261121T000001Z-aaaa0001", 1, "web");
        Commit("20261121T000002Z-aaaa0002", 2, "web");
        Commit("20261121T000003Z-bbbb0003", 3, "web", "sub");
        var catalog = DumpCatalog.Read(_directory.Root);

        Assert.Equal("web.1", Assert.Single(catalog.Find("20261121T000002Z-aaaa0002")).Name);
        Assert.Equal("20261121T000002Z-aaaa0002", Assert.Single(catalog.Find("web.1")).Manifest.Id);
        Assert.Equal("20261121T000003Z-bbbb0003", Assert.Single(catalog.Find("20261121T000003")).Manifest.Id);
        Assert.Equal(2, catalog.Find("web.0").Count);
        Assert.Equal(3, catalog.Find("2026").Count);
        Assert.Empty(catalog.Find("web"));
        Assert.Empty(catalog.Find(""));
    }

    [Fact]
    public void Tells_running_dumps_from_left_over_ones()
    {
        using var running = _directory.Create(Dumps.NewIdentity(), default, "sub");
        Assert.True(running.AppendKdh(new byte[512], out _));
        var leftOver = Dumps.Receive(_directory, Dumps.Pattern(123));
        leftOver.Dispose();

        var catalog = DumpCatalog.Read(_directory.Root);

        Assert.Equal(2, catalog.Partials.Count);
        var first = catalog.Partials[0];
        Assert.Equal((leftOver.PartialPath, leftOver.Identity, false, 123L, false), (first.Path, first.Opened?.Identity, first.HasKdh, first.LengthBytes, first.IsRunning));
        var second = catalog.Partials[1];
        Assert.Equal((running.PartialPath, running.Identity, true, 0L, true), (second.Path, second.Opened?.Identity, second.HasKdh, second.LengthBytes, second.IsRunning));
    }

    [Fact]
    public void Broken_files_are_reported_and_stop_nothing()
    {
        Commit("20261121T000001Z-aaaa0001", 1, "web");
        File.WriteAllText(_temp.File("root/dump.x.0.json"), "{");
        File.WriteAllText(_temp.File("root/partial.10.0.0.1.x"), "data");
        File.WriteAllText(_temp.File("root/partial.10.0.0.1.x.ledger"), "noise");
        File.WriteAllText(_temp.File("root/partial.10.0.0.1.y.ledger"), "");
        File.WriteAllText(_temp.File("root/.dump.x.0.json.tmp"), "{");
        File.WriteAllText(_temp.File("root/notes.txt"), "mine");

        var catalog = DumpCatalog.Read(_directory.Root);

        Assert.Equal("web.0", Assert.Single(catalog.Dumps).Name);
        Assert.Null(Assert.Single(catalog.Partials).Opened);
        Assert.Equal([_temp.File("root/dump.x.0.json"), _temp.File("root/partial.10.0.0.1.y.ledger")], catalog.Problems.Select(problem => problem.Path));
    }

    [Fact]
    public void Links_are_not_followed()
    {
        Commit("20261121T000001Z-aaaa0001", 1, "web");
        Directory.CreateSymbolicLink(_temp.File("root/sub/up"), "..");
        Directory.CreateDirectory(_temp.File("outside"));
        File.Copy(_temp.File("root/dump.web.0.json"), _temp.File("outside/dump.web.1.json"));
        Directory.CreateSymbolicLink(_temp.File("root/out"), "../outside");
        File.CreateSymbolicLink(_temp.File("root/dump.web.2.json"), "../outside/dump.web.1.json");

        Assert.Equal(_temp.File("root/dump.web.0.json"), Assert.Single(DumpCatalog.Read(_directory.Root).Dumps).ManifestPath);
    }

    [Fact]
    public void A_missing_directory_is_named()
    {
        var e = Assert.Throws<StorageException>(() => DumpCatalog.Read(_temp.File("none")));

        Assert.Contains(_temp.File("none"), e.Message, StringComparison.Ordinal);
    }

    private void Commit(string id, int second, string host, string? path = null)
    {
        using var file = _directory.Create(new(id, Dumps.Client, Dumps.StartedAt.AddSeconds(second)), default, path);
        Dumps.Write(file, 0, [1, 2, 3]);
        _directory.Commit(file, Dumps.Complete(3), Dumps.Circumstances(host));
    }
}
