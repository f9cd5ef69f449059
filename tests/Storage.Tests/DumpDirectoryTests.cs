namespace NetdumpCollector.Storage.Tests;

public sealed class DumpDirectoryTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_missing_directory_is_made_for_this_user_only()
    {
        string root = _temp.File("a/b");

        using var directory = DumpDirectory.Open(root, null);

        Assert.Equal(root, directory.Root);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(root));
        Assert.Empty(Directory.GetFileSystemEntries(root));
    }

    [Fact]
    public void A_file_instead_of_a_directory_is_named()
    {
        File.WriteAllText(_temp.File("file"), "");

        var e = Assert.Throws<StorageException>(() => DumpDirectory.Open(_temp.File("file"), null));

        Assert.Contains(_temp.File("file"), e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_cannot_be_written_is_named()
    {
        var e = Assert.Throws<StorageException>(() => DumpDirectory.Open("/proc", null));

        Assert.StartsWith("dump directory /proc is not writable: ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_default_path_is_named()
    {
        var e = Assert.Throws<StorageException>(() => DumpDirectory.Open(_temp.Path, "nowhere"));

        Assert.Contains("default path 'nowhere'", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_running_dump_is_a_partial_file_and_its_ledger()
    {
        using var directory = DumpDirectory.Open(_temp.Path, null);
        var identity = Dumps.NewIdentity();

        using var file = directory.Create(identity, default, null);

        string name = $"partial.10.0.2.7.{identity.Id}";
        Assert.Equal([name, name + ".ledger"], _temp.Names);
        Assert.Equal(_temp.File(name), file.PartialPath);
        Assert.Null(file.RefusedPath);
        Assert.All(_temp.Names, n => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_temp.File(n))));
    }

    [Fact]
    public void The_same_dump_is_not_created_twice()
    {
        using var directory = DumpDirectory.Open(_temp.Path, null);
        var identity = Dumps.NewIdentity();
        using var file = directory.Create(identity, default, null);

        var e = Assert.Throws<StorageException>(() => directory.Create(identity, default, null));

        Assert.Contains($"partial.10.0.2.7.{identity.Id}.ledger cannot be created: File exists (EEXIST)", e.Message, StringComparison.Ordinal);
        Assert.Equal(2, _temp.Names.Length);
    }

    [Theory]
    [InlineData("web", "web", true)]
    [InlineData("web", "web", false)]
    [InlineData("web/rack1", "web/rack1", true)]
    [InlineData("web/rack1", "web/rack1", false)]
    [InlineData("./web//rack1/.", "web/rack1", true)]
    [InlineData("./web//rack1/.", "web/rack1", false)]
    [InlineData("web/../db", "web/../db", true)]
    [InlineData("inside", "inside", true)]
    [InlineData("inside/rack1", "inside/rack1", true)]
    public void A_herald_path_inside_is_used(string path, string relative, bool withOpenat2)
    {
        MakeTree();
        using var directory = DumpDirectory.Open(_temp.File("root"), null, withOpenat2);

        using var file = Dumps.Receive(directory, [1], path);

        Assert.Null(file.RefusedPath);
        Assert.Equal(Path.Combine(_temp.File("root"), relative, Path.GetFileName(file.PartialPath)), file.PartialPath);
        Assert.True(File.Exists(file.PartialPath));
        var committed = directory.Commit(file, Dumps.TimedOut(1), Dumps.Circumstances("h"));
        Assert.Equal($"{relative}/vmcore.h.0", committed.CoreFile);
        Assert.Equal($"{relative}/info.h.0", committed.InfoFile);
        Assert.Equal(Path.Combine(_temp.File("root"), relative, "dump.h.0.json"), committed.ManifestPath);
        Assert.True(File.Exists(committed.ManifestPath));
    }

    [Theory]
    [InlineData("..", true)]
    [InlineData("..", false)]
    [InlineData("../outside", true)]
    [InlineData("../outside", false)]
    [InlineData("web/../../outside", true)]
    [InlineData("web/../../outside", false)]
    [InlineData("web/../db", false)]
    [InlineData("/", true)]
    [InlineData("/tmp", true)]
    [InlineData("/tmp", false)]
    [InlineData("escape", true)]
    [InlineData("escape", false)]
    [InlineData("escape-relative", true)]
    [InlineData("escape-relative", false)]
    [InlineData("web/up/outside", true)]
    [InlineData("web/up/outside", false)]
    [InlineData("inside", false)]
    [InlineData("missing", true)]
    [InlineData("missing", false)]
    [InlineData("web/missing", true)]
    [InlineData("file", true)]
    [InlineData("file", false)]
    [InlineData("file/x", true)]
    [InlineData("loop", true)]
    [InlineData("loop", false)]
    [InlineData("web\0", true)]
    [InlineData("web\0", false)]
    public void Any_other_herald_path_is_refused_for_the_default_one(string path, bool withOpenat2)
    {
        MakeTree();
        using var directory = DumpDirectory.Open(_temp.File("root"), "db", withOpenat2);
        string[] before = Tree();

        using var file = directory.Create(Dumps.NewIdentity(), default, path);

        Assert.StartsWith($"path '{path}': ", file.RefusedPath, StringComparison.Ordinal);
        Assert.Equal(_temp.File("root/db"), Path.GetDirectoryName(file.PartialPath));
        Assert.Equal([file.PartialPath, file.PartialPath + ".ledger"], Tree().Except(before).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void An_overlong_herald_path_is_refused()
    {
        using var directory = DumpDirectory.Open(_temp.Path, null);

        using var file = directory.Create(Dumps.NewIdentity(), default, new string('x', 5000));

        Assert.Contains("ENAMETOOLONG", file.RefusedPath, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_herald_path_the_default_path_is_used_and_without_that_the_root()
    {
        MakeTree();
        using var directory = DumpDirectory.Open(_temp.File("root"), "db");

        using var first = directory.Create(Dumps.NewIdentity(), default, "");
        Directory.Move(_temp.File("root/db"), _temp.File("root/gone"));
        using var second = directory.Create(Dumps.NewIdentity(), default, "missing");

        Assert.Equal(_temp.File("root/db"), Path.GetDirectoryName(first.PartialPath));
        Assert.Null(first.RefusedPath);
        Assert.Equal(_temp.File("root"), Path.GetDirectoryName(second.PartialPath));
        Assert.Contains("path 'missing': No such file or directory (ENOENT); path 'db': ", second.RefusedPath, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_moves_away_during_the_dump_takes_it_along()
    {
        MakeTree();
        using var directory = DumpDirectory.Open(_temp.File("root"), null);
        using var file = Dumps.Receive(directory, Dumps.Pattern(100), "web");
        Directory.Move(_temp.File("root/web"), _temp.File("root/moved"));
        Directory.CreateSymbolicLink(_temp.File("root/web"), _temp.File("outside"));

        directory.Commit(file, Dumps.Complete(100), Dumps.Circumstances("h"));

        Assert.Equal(100, new FileInfo(_temp.File("root/moved/vmcore.h.0")).Length);
        Assert.Empty(Directory.GetFileSystemEntries(_temp.File("outside")));
    }

    [Theory]
    [InlineData(WhenFull.Refuse)]
    [InlineData(WhenFull.Delete)]
    public void Without_room_nothing_is_made_and_the_directory_that_was_asked_for_is_named(WhenFull whenFull)
    {
        MakeTree();
        string asked = _temp.File("root/web");
        using var directory = DumpDirectory.Open(_temp.File("root"), null);
        string[] before = Tree();
        var headroom = new Headroom(new(10, 0), whenFull, path => new(path == asked ? 0 : 1000, 1000));

        Assert.Null(directory.Create(Dumps.NewIdentity(), default, "web", headroom, out var shortage));

        Assert.Equal(asked, shortage?.Directory);
        Assert.Equal(before, Tree());
        using var elsewhere = directory.Create(Dumps.NewIdentity(), default, "db", headroom, out shortage);
        Assert.Null(shortage);
        Assert.StartsWith(_temp.File("root/db/"), elsewhere?.PartialPath, StringComparison.Ordinal);
    }

    private string[] Tree() => Directory.GetFileSystemEntries(_temp.Path, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint });

    private void MakeTree()
    {
        foreach (string path in (string[])["root/web/rack1", "root/db", "outside"])
            Directory.CreateDirectory(_temp.File(path));
        File.WriteAllText(_temp.File("root/file"), "");
        Directory.CreateSymbolicLink(_temp.File("root/inside"), "web");
        Directory.CreateSymbolicLink(_temp.File("root/escape"), _temp.File("outside"));
        Directory.CreateSymbolicLink(_temp.File("root/escape-relative"), "../outside");
        Directory.CreateSymbolicLink(_temp.File("root/web/up"), "../..");
        Directory.CreateSymbolicLink(_temp.File("root/loop"), "loop");
    }
}
