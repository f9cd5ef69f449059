using System.Runtime.Versioning;

namespace NetdumpCollector.Storage.Tests.Trial;

[UnsupportedOSPlatform("windows")]
public sealed class TrialDirectoryTests : IDisposable
{
    private const string LeftOver = ".doctor.0123456789abcdef0123456789abcdef";

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void It_is_its_users_alone_and_goes_with_all_that_is_in_it()
    {
        using (var trial = TrialDirectory.Make(_temp.Path))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(trial.Path));
            Directory.CreateDirectory(Path.Join(trial.Path, "dumps"));
            File.WriteAllText(Path.Join(trial.Path, "dumps", "vmcore"), "made up");
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(_temp.Path));
    }

    [Fact]
    public void One_in_use_is_not_taken_for_left_over()
    {
        using var trial = TrialDirectory.Make(_temp.Path);
        Directory.CreateDirectory(Path.Join(_temp.Path, LeftOver));

        Assert.Equal(1, TrialDirectory.RemoveLeftOver(_temp.Path));
        Assert.Equal([trial.Path], Directory.EnumerateFileSystemEntries(_temp.Path));
    }

    [Fact]
    public void What_a_link_leads_to_stays()
    {
        using var elsewhere = new TempDirectory();
        File.WriteAllText(Path.Join(elsewhere.Path, "vmcore"), "real");
        Directory.CreateSymbolicLink(Path.Join(_temp.Path, ".doctor.fedcba9876543210fedcba9876543210"), elsewhere.Path);
        Directory.CreateDirectory(Path.Join(_temp.Path, LeftOver));
        Directory.CreateSymbolicLink(Path.Join(_temp.Path, LeftOver, "link"), elsewhere.Path);

        Assert.Equal(1, TrialDirectory.RemoveLeftOver(_temp.Path));
        Assert.True(File.Exists(Path.Join(elsewhere.Path, "vmcore")));
    }

    [Theory]
    [InlineData(".doctor.left")]
    [InlineData(".doctor.0123456789ABCDEF0123456789ABCDEF")]
    [InlineData(".doctor.0123456789abcdef0123456789abcdef0")]
    [InlineData(".doctor")]
    public void A_directory_that_somebody_else_named_stays_and_its_dumps_are_seen(string name)
    {
        string path = Directory.CreateDirectory(Path.Join(_temp.Path, name)).FullName;
        File.WriteAllText(Path.Join(path, "dump.web1.0.json"), "{}");

        Assert.Equal(0, TrialDirectory.RemoveLeftOver(_temp.Path));
        Assert.Single(DumpCatalog.Read(_temp.Path).Problems);
    }

    [Fact]
    public void It_cannot_be_made_where_there_is_no_directory() => Assert.Throws<StorageException>(() => TrialDirectory.Make(Path.Join("/proc", "1")));

    [Fact]
    public void Nothing_in_it_is_a_dump()
    {
        string trial = Directory.CreateDirectory(Path.Join(_temp.Path, LeftOver, "dumps")).FullName;
        File.WriteAllText(Path.Join(trial, "dump.web1.0.json"), "{}");
        File.WriteAllText(Path.Join(trial, "partial.10.0.0.1.x"), "");

        var catalog = DumpCatalog.Read(_temp.Path);

        Assert.Empty(catalog.Dumps);
        Assert.Empty(catalog.Partials);
        Assert.Empty(catalog.Problems);
    }

    [Fact]
    public void A_file_system_is_tried_and_left_as_it_was()
    {
        using var directory = TrialDirectory.Make(_temp.Path);

        var trial = FileSystemTrial.Run(directory, CancellationToken.None);

        Assert.True(trial.Locks);
        Assert.Null(trial.Renames);
        Assert.True(trial.LargeSync > TimeSpan.Zero && trial.SmallSync > TimeSpan.Zero);
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory.Path));
    }

    [Fact]
    public void A_trial_ends_when_it_is_to()
    {
        using var directory = TrialDirectory.Make(_temp.Path);

        Assert.Throws<OperationCanceledException>(() => { FileSystemTrial.Run(directory, new CancellationToken(canceled: true)); });
    }
}
