using System.Runtime.Versioning;

namespace NetdumpCollector.Storage.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class AppendedFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    private string FilePath => _temp.File("log");

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Lines_follow_what_is_there_and_its_group_may_read_them()
    {
        using (var file = new AppendedFile(FilePath))
            file.Append("a\n"u8, durable: true);
        using (var file = new AppendedFile(FilePath))
            file.Append("b\n"u8, durable: false);

        Assert.Equal("a\nb\n", File.ReadAllText(FilePath));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(FilePath));
    }

    [Fact]
    public void A_file_that_was_moved_away_or_removed_is_made_anew()
    {
        using var file = new AppendedFile(FilePath);
        file.Append("a\n"u8, durable: false);
        File.Move(FilePath, FilePath + ".1");
        file.Append("b\n"u8, durable: false);
        File.Delete(FilePath);
        file.Append("c\n"u8, durable: false);

        Assert.Equal("a\n", File.ReadAllText(FilePath + ".1"));
        Assert.Equal("c\n", File.ReadAllText(FilePath));
    }

    [Fact]
    public void Links_and_what_has_no_end_are_refused()
    {
        File.CreateSymbolicLink(FilePath, _temp.File("elsewhere"));
        using var link = new AppendedFile(FilePath);
        using var directory = new AppendedFile(_temp.Path);
        using var nowhere = new AppendedFile(_temp.File("nowhere/log"));

        foreach (var file in (AppendedFile[])[link, directory, nowhere])
            Assert.Throws<StorageException>(() => file.Append("a\n"u8, durable: false));
        Assert.False(File.Exists(_temp.File("elsewhere")));
    }

    [Fact]
    public void A_full_device_is_told_of()
    {
        using var file = new AppendedFile("/dev/full");

        Assert.Contains("ENOSPC", Assert.Throws<StorageException>(() => file.Append("a\n"u8, durable: false)).Message, StringComparison.Ordinal);
    }
}
