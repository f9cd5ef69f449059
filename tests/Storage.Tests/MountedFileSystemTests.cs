namespace NetdumpCollector.Storage.Tests;

public sealed class MountedFileSystemTests
{
    private static readonly string[] s_table =
    [
        "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
        "30 21 0:26 / /srv rw,nosuid - tmpfs none rw,size=64k",
        @"31 30 8:1 /sub /srv/crash\040dumps rw,relatime shared:5 master:2 - xfs /dev/sdb1 rw",
        "32 30 0:44 / /srv/san ro,relatime - nfs4 filer:/san rw,vers=4.2",
        "33 30 0:45 / /srv/san rw,relatime - fuse.sshfs me@host:/ ro",
        "34 21 0:46 / /opt rw - ext4 /dev/sdc1 rw",
        "odd",
    ];

    [Theory]
    [InlineData("/var/crash", "ext4", false)]
    [InlineData("/", "ext4", false)]
    [InlineData("/srv", "tmpfs", false)]
    [InlineData("/srv/crash dumps/lab", "xfs", false)]
    [InlineData("/srv/crash", "tmpfs", false)]
    [InlineData("/srv/san/x", "fuse.sshfs", true)]
    [InlineData("/optional", "ext4", false)]
    public void The_innermost_mount_holds_a_path(string path, string kind, bool isReadOnly)
    {
        var mount = MountedFileSystem.Find(s_table, path)!;

        Assert.Equal((kind, isReadOnly), (mount.Kind, mount.IsReadOnly));
        Assert.NotEqual("/dev/sdc1", mount.Source);
    }

    [Fact]
    public void Names_and_options_come_as_they_are()
    {
        var mount = MountedFileSystem.Find(s_table, "/srv/crash dumps")!;

        Assert.Equal(("/srv/crash dumps", "xfs", "/dev/sdb1", false), (mount.MountPoint, mount.Kind, mount.Source, mount.IsReadOnly));
        Assert.Equal(["rw", "size=64k"], MountedFileSystem.Find(s_table, "/srv")!.Options);
    }

    [Fact]
    public void An_empty_table_tells_nothing() => Assert.Null(MountedFileSystem.Find([], "/"));

    [Fact]
    public void This_machines_root_is_mounted_where_it_has_a_table() => Assert.Equal(File.Exists("/proc/self/mountinfo"), MountedFileSystem.Of("/") is { MountPoint: "/" });
}
