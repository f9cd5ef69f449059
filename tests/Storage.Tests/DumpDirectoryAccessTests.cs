namespace NetdumpCollector.Storage.Tests;

public sealed class DumpDirectoryAccessTests : IDisposable
{
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_directory_of_its_own_user_alone_is_fine()
    {
        using var directory = DumpDirectory.Open(_temp.File("new"), null);
        Assert.Empty(directory.AccessOfOthers());
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead, "0740", "can see which hosts panicked")]
    [InlineData(UnixFileMode.OtherExecute, "0701", "can see which hosts panicked")]
    [InlineData(UnixFileMode.GroupWrite, "0720", "can remove dumps")]
    [InlineData(UnixFileMode.OtherWrite | UnixFileMode.OtherRead | UnixFileMode.StickyBit, "1706", "can remove dumps")]
    public void What_others_may_do_is_told_with_the_command_against_it(UnixFileMode others, string mode, string finding)
    {
        File.SetUnixFileMode(_temp.Path, Owner | others);
        using var directory = DumpDirectory.Open(_temp.Path, null);

        string told = Assert.Single(directory.AccessOfOthers());

        Assert.StartsWith($"dump directory {_temp.Path} has mode {mode}: ", told, StringComparison.Ordinal);
        Assert.Contains(finding, told, StringComparison.Ordinal);
        Assert.EndsWith($"run: chmod 0700 '{_temp.Path}'", told, StringComparison.Ordinal);
    }
}
