using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests.Native;

public sealed class PosixTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_name_leads_to_the_file_that_has_it_now_and_not_to_one_that_had_it()
    {
        using var directory = Posix.Open(_temp.Path, Posix.O_RDONLY)!;
        File.WriteAllText(_temp.File("name"), "old");
        File.WriteAllText(_temp.File("other"), "new");
        using var old = Posix.OpenAt(directory, "name", Posix.O_RDWR)!;
        using var other = Posix.OpenAt(directory, "other", Posix.O_RDWR)!;
        Assert.Equal((true, false), (Posix.IsNamed(old, directory, "name"), Posix.IsNamed(other, directory, "name")));

        Assert.Equal(0, Posix.Rename(directory, "other", "name"));
        Assert.Equal((false, true), (Posix.IsNamed(old, directory, "name"), Posix.IsNamed(other, directory, "name")));

        Assert.Equal(0, Posix.Unlink(directory, "name"));
        Assert.Equal((false, false), (Posix.IsNamed(old, directory, "name"), Posix.IsNamed(other, directory, "name")));
    }

    [Fact]
    public void A_directory_tells_all_of_its_names_and_those_that_begin_as_is_asked()
    {
        using var directory = Posix.Open(_temp.Path, Posix.O_RDONLY | Posix.O_DIRECTORY)!;
        string[] names = [.. Enumerable.Range(0, 3000).Select(i => $"{i % 7}.{i:d5}.{new string('x', i % 200)}"), ".hidden", "ümläut"];
        foreach (string name in names)
            File.WriteAllText(_temp.File(name), "");
        Directory.CreateDirectory(_temp.File("directory"));
        File.CreateSymbolicLink(_temp.File("link"), "nowhere");

        Assert.Equal(names.Concat(["directory", "link"]).Order(StringComparer.Ordinal), Posix.NamesIn(directory, "")!.Order(StringComparer.Ordinal));
        Assert.Equal(names.Where(name => name.StartsWith("3.", StringComparison.Ordinal)).Order(StringComparer.Ordinal), Posix.NamesIn(directory, "3.")!.Order(StringComparer.Ordinal));
        Assert.Equal([".hidden"], Posix.NamesIn(directory, ".")!);
        Assert.Equal(["ümläut"], Posix.NamesIn(directory, "ü")!);
    }

    [Fact]
    public void What_is_no_directory_has_no_names()
    {
        File.WriteAllText(_temp.File("file"), "");
        using var file = Posix.Open(_temp.File("file"), Posix.O_RDONLY)!;

        Assert.Null(Posix.NamesIn(file, ""));
        Assert.Equal(Errno.ENOTDIR, Errno.Last);
    }
}
