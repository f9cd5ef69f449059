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
}
