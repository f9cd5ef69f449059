using System.Runtime.Versioning;
using NetdumpCollector.Storage.Tests.Retention;

namespace NetdumpCollector.Storage.Tests.Catalog;

[UnsupportedOSPlatform("windows")]
public sealed class StoredFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(StoredFileKind.Vmcore, "vmcore_encrypted.web1.3", 100)]
    [InlineData(StoredFileKind.Key, "key.web1.3", 10)]
    [InlineData(StoredFileKind.Info, "info.web1.3", 14)]
    public void Opens_the_files_of_a_dump_also_in_a_directory_beneath(StoredFileKind kind, string name, long length)
    {
        Directory.CreateDirectory(_temp.File("a/b"));
        var dump = StoredDumps.Write(_temp.File("a/b"), "web1", 3, hasKey: true);

        using var file = StoredFile.Open(_temp.Path, dump, kind)!;

        Assert.Equal((name, length), (file.Name, file.LengthBytes));
        Assert.Equal(File.GetLastWriteTimeUtc(_temp.File($"a/b/{name}")), file.ModifiedAt);
    }

    [Fact]
    public void A_dump_without_a_key_has_no_key_file() => Assert.Null(StoredFile.Open(_temp.Path, StoredDumps.Write(_temp.Path, "web1", 0), StoredFileKind.Key));

    [Theory]
    [InlineData("vmcore.web1.1")]
    [InlineData("vmcore.web2.0")]
    [InlineData("key.web1.0")]
    [InlineData("info.web1.0")]
    [InlineData(".audit.jsonl")]
    [InlineData("bounds.web1")]
    public void What_a_dump_of_that_host_and_index_is_not_called_is_not_opened(string name)
    {
        var dump = StoredDumps.Write(_temp.Path, "web1", 0);
        File.WriteAllText(_temp.File(name), "not yours");
        var edited = dump with { Manifest = dump.Manifest with { Files = dump.Manifest.Files with { Vmcore = name } } };

        Assert.Contains("is not what such a file is called", Assert.Throws<StorageException>(() => StoredFile.Open(_temp.Path, edited, StoredFileKind.Vmcore)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Links_are_not_followed_and_directories_are_no_files()
    {
        Directory.CreateDirectory(_temp.File("root"));
        File.WriteAllText(_temp.File("secret"), "secret");
        var linked = StoredDumps.Write(_temp.File("root"), "web1", 0);
        File.Delete(linked.VmcorePath);
        File.CreateSymbolicLink(linked.VmcorePath, _temp.File("secret"));
        var directory = StoredDumps.Write(_temp.File("root"), "web2", 0);
        File.Delete(directory.VmcorePath);
        Directory.CreateDirectory(directory.VmcorePath);

        Assert.Contains("is a link", Assert.Throws<StorageException>(() => StoredFile.Open(_temp.File("root"), linked, StoredFileKind.Vmcore)).Message, StringComparison.Ordinal);
        Assert.Contains("is not a regular file", Assert.Throws<StorageException>(() => StoredFile.Open(_temp.File("root"), directory, StoredFileKind.Vmcore)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_has_become_a_link_to_elsewhere_is_not_entered()
    {
        Directory.CreateDirectory(_temp.File("root/sub"));
        Directory.CreateDirectory(_temp.File("elsewhere"));
        var dump = StoredDumps.Write(_temp.File("root/sub"), "web1", 0);
        StoredDumps.Write(_temp.File("elsewhere"), "web1", 0);
        Directory.Delete(_temp.File("root/sub"), recursive: true);
        Directory.CreateSymbolicLink(_temp.File("root/sub"), _temp.File("elsewhere"));

        Assert.Throws<StorageException>(() => StoredFile.Open(_temp.File("root"), dump, StoredFileKind.Vmcore));
    }
}
