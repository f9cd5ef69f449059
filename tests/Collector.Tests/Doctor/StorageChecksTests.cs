using System.Runtime.Versioning;
using NetdumpCollector.Collector.Doctor;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Doctor;

/// <summary>What is said of directory, file system, room, durability and encryption.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class StorageChecksTests : IDisposable
{
    private static readonly CollectorSettings s_settings = CollectorSettings.Defaults;
    private static readonly FileSystemTrial s_trial = new(TimeSpan.FromMilliseconds(3), TimeSpan.FromMilliseconds(160), Locks: true, Renames: null, KernelKeepsPaths: true);

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("ext4", false, FindingLevel.Ok, "ext4 at /srv")]
    [InlineData("tmpfs", false, FindingLevel.Warning, "gone with the next reboot")]
    [InlineData("overlay", false, FindingLevel.Warning, "gone with the container")]
    [InlineData("nfs4", false, FindingLevel.Warning, "on the network")]
    [InlineData("fuse.sshfs", false, FindingLevel.Warning, "is a program's")]
    [InlineData("ext4", true, FindingLevel.Problem, "is read-only")]
    internal void Each_kind_of_file_system_has_its_dangers(string kind, bool isReadOnly, FindingLevel level, string found)
    {
        var finding = FileSystemCheck.Judge(new("/srv", kind, "/dev/sdb1", isReadOnly), isShared: false);

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level != FindingLevel.Ok, finding.Advice is not null);
    }

    [Theory]
    [InlineData("ext4", "rw", FindingLevel.Warning, "this machine's own")]
    [InlineData("tmpfs", "rw", FindingLevel.Warning, "this machine's own")]
    [InlineData("nfs4", "rw,vers=4.2,hard,proto=tcp", FindingLevel.Warning, "remembers which names are not there")]
    [InlineData("nfs4", "rw,vers=4.2,soft,lookupcache=pos", FindingLevel.Warning, "is mounted soft")]
    [InlineData("nfs4", "rw,vers=4.2,hard,lookupcache=pos,acregmax=3", FindingLevel.Ok, "for all nodes")]
    [InlineData("nfs", "rw,vers=3,hard,lookupcache=none", FindingLevel.Ok, "for all nodes")]
    [InlineData("ceph", "rw,name=x", FindingLevel.Ok, "for all nodes")]
    [InlineData("cifs", "rw", FindingLevel.Warning, "does not tell a node at once")]
    internal void What_nodes_share_must_be_seen_by_all_of_them_at_once(string kind, string options, FindingLevel level, string found)
    {
        var finding = FileSystemCheck.Judge(new("/srv", kind, "server:/crash", false) { Options = options.Split(',') }, isShared: true);

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level != FindingLevel.Ok, finding.Advice is not null);
    }

    [Theory]
    [InlineData(100L << 30, new long[] { 2L << 30, 4L << 30 }, FindingLevel.Ok, "room for 25 dumps of 4.0 GiB, the largest of 2 known ones (on average 3.0 GiB)")]
    [InlineData(100L << 30, new long[0], FindingLevel.Ok, "room for 25 dumps of 4.0 GiB (none is known yet")]
    [InlineData(9L << 30, new long[] { 4L << 30 }, FindingLevel.Warning, "room for 2 dumps")]
    [InlineData(1L << 20, new long[] { 4L << 30 }, FindingLevel.Problem, "no dump fits")]
    internal void Room_is_counted_in_dumps(long freeBytes, long[] dumps, FindingLevel level, string found)
    {
        var finding = Assert.Single(RoomCheck.Judge(s_settings, "/srv", new(new(freeBytes, 200L << 30), FreeInodes: 1_000_000, dumps)));

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(WhenFull.Refuse, "no dump begins")]
    [InlineData(WhenFull.Headers, "only the first bytes are kept")]
    [InlineData(WhenFull.Delete, "old dumps are deleted")]
    public void Less_than_must_stay_free_is_a_problem(WhenFull whenFull, string found)
    {
        var finding = Assert.Single(RoomCheck.Judge(s_settings with { MinFree = new(20L << 30, 0), WhenFull = whenFull }, "/srv", new(new(10L << 30, 200L << 30), null, [])));

        Assert.Equal(FindingLevel.Problem, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(11L, FindingLevel.Problem)]
    [InlineData(1199L, FindingLevel.Warning)]
    internal void Few_inodes_are_told_of(long inodes, FindingLevel level) => Assert.Single(RoomCheck.Judge(s_settings, "/srv", new(new(100L << 30, 200L << 30), inodes, [])),
        finding => finding.Level == level && finding.Found.Contains($"only {inodes} more files", StringComparison.Ordinal));

    [Fact]
    public void Room_that_the_file_system_does_not_tell_is_left_out() => Assert.Equal(FindingLevel.LeftOut, Assert.Single(RoomCheck.Judge(s_settings, "/srv", new(null, null, null))).Level);

    [Theory]
    [InlineData(3, FindingLevel.Ok)]
    [InlineData(251, FindingLevel.Warning)]
    [InlineData(1900, FindingLevel.Problem)]
    internal void Slow_syncs_are_judged_by_what_a_kernel_waits_for(int milliseconds, FindingLevel level) =>
        Assert.Equal(level, Assert.Single(StorageCheck.Judge(s_trial with { SmallSync = TimeSpan.FromMilliseconds(milliseconds) })).Level);

    [Fact]
    public void What_the_file_system_cannot_do_is_told_of()
    {
        var findings = StorageCheck.Judge(s_trial with { Locks = false, Renames = "Input/output error (EIO)", KernelKeepsPaths = false }).ToArray();

        Assert.Single(findings, finding => finding.Level == FindingLevel.Warning && finding.Found.Contains("locks have no effect", StringComparison.Ordinal));
        Assert.Single(findings, finding => finding.Level == FindingLevel.Problem && finding.Found.Contains("EIO", StringComparison.Ordinal));
        Assert.Single(findings, finding => finding.Level == FindingLevel.Ok && finding.Found.Contains("openat2", StringComparison.Ordinal));
    }

    [Fact]
    public void A_directory_that_others_can_read_comes_with_the_command_against_it()
    {
        File.SetUnixFileMode(_temp.Path, (UnixFileMode)Convert.ToInt32("755", 8));

        Assert.Single(DirectoryCheck.Look(s_settings with { Directory = _temp.Path }), finding => finding.Level == FindingLevel.Warning && finding.Advice == $"run: chmod 0700 '{_temp.Path}'");
    }

    [Fact]
    public void A_directory_that_is_not_there_is_not_made()
    {
        string missing = _temp.File("a/b");

        Assert.Equal(FindingLevel.Ok, Assert.Single(DirectoryCheck.Look(s_settings with { Directory = missing })).Level);
        Assert.Equal(_temp.Path, DirectoryCheck.ExistingOf(missing));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_temp.Path));
    }

    [Fact]
    public void A_file_in_the_directorys_place_is_a_problem() =>
        Assert.Equal(FindingLevel.Problem, Assert.Single(DirectoryCheck.Look(s_settings with { Directory = _temp.Write("dumps", "") })).Level);

    [Fact]
    public void A_link_to_the_directory_is_followed_and_told_of()
    {
        string real = Directory.CreateDirectory(_temp.File("real"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        Directory.CreateSymbolicLink(_temp.File("link"), real);

        Assert.Contains(DirectoryCheck.Look(s_settings with { Directory = _temp.File("link") }), finding => finding.Found.EndsWith($"through a link to {real}", StringComparison.Ordinal));
    }

    [Fact]
    public void A_missing_default_path_is_a_problem() => Assert.Single(DirectoryCheck.Look(s_settings with { Directory = _temp.Path, DefaultPath = "lab" }),
        finding => finding.Level == FindingLevel.Problem && finding.Found.Contains("default path 'lab'", StringComparison.Ordinal));

    [Fact]
    public void Storage_is_tried_and_what_a_killed_run_left_is_removed()
    {
        Directory.CreateDirectory(_temp.File(".doctor.0123456789abcdef0123456789abcdef/dumps"));
        _temp.Write(".doctor.0123456789abcdef0123456789abcdef/dumps/vmcore", "left");

        var findings = StorageCheck.Look(_temp.Path, CancellationToken.None).ToArray();

        Assert.All(findings, finding => Assert.NotEqual(FindingLevel.Problem, finding.Level));
        Assert.Contains(findings, finding => finding.Found.Contains("1 earlier runs", StringComparison.Ordinal));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_temp.Path));
    }

    [Theory]
    [InlineData(new bool[0], FindingLevel.Warning, "in clear unless the client encrypts")]
    [InlineData(new[] { true, false, true }, FindingLevel.Warning, "1 of the latest 3 dumps crossed the network in clear")]
    [InlineData(new[] { true, true }, FindingLevel.Ok, "the latest 2 dumps were encrypted")]
    internal void Dumps_in_clear_are_warned_of(bool[] areEncrypted, FindingLevel level, string found)
    {
        var finding = EncryptionCheck.Judge(areEncrypted);

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level == FindingLevel.Warning, finding.Advice?.Contains("dumpon -k public.pem -s SERVER -c CLIENT -g GATEWAY DEVICE", StringComparison.Ordinal) ?? false);
    }
}
