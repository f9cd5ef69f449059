using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>What kind of file system dumps would lie on.</summary>
internal static class FileSystemCheck
{
    private const string Subject = "file system";

    /// <param name="directory">Where dumps would lie.</param>
    /// <param name="isShared">Other machines are to go on with what they find there (--takeover).</param>
    public static IEnumerable<Finding> Look(string directory, bool isShared) => [Judge(MountedFileSystem.Of(MountedFileSystem.RealPathOf(directory) ?? directory), isShared)];

    public static Finding Judge(MountedFileSystem? mount, bool isShared)
    {
        if (mount is null)
            return new(FindingLevel.LeftOut, Subject, "the system does not tell which it is (/proc/self/mountinfo)");

        string what = $"{mount.Kind} at {mount.MountPoint} ({mount.Source})";
        if (mount.IsReadOnly)
            return new(FindingLevel.Problem, Subject, $"{what} is read-only: no dump can be stored", $"mount -o remount,rw '{mount.MountPoint}', or name a directory elsewhere with -d");

        if (isShared)
            return JudgeShared(mount, what);
        return mount.Kind switch
        {
            "tmpfs" or "ramfs" => new(FindingLevel.Warning, Subject, $"{what} is memory: all dumps are gone with the next reboot", "name a directory on a disk with -d"),
            "overlay" or "aufs" => new(FindingLevel.Warning, Subject, $"{what} is a container's own: dumps are gone with the container", "mount a volume there"),
            "nfs" or "nfs4" or "cifs" or "smb3" or "9p" or "ceph" or "glusterfs" or "lustre" => new(FindingLevel.Warning, Subject,
                $"{what} is on the network: while its server does not answer, dumps on it wait, and their hosts give up after about 11 s", "prefer a local disk, and copy dumps away by -i SCRIPT"),
            _ when mount.Kind.StartsWith("fuse", StringComparison.Ordinal) => new(FindingLevel.Warning, Subject,
                $"{what} is a program's: dumps are as fast, and as safe, as that program", "prefer a local disk"),
            _ => new(FindingLevel.Ok, Subject, what),
        };
    }

    /// <summary>Whether other machines can see what this one has stored there, and at once.</summary>
    private static Finding JudgeShared(MountedFileSystem mount, string what)
    {
        switch (mount.Kind)
        {
            case "nfs" or "nfs4" when mount.Options.Contains("soft") || mount.Options.Contains("softerr"):
                return new(FindingLevel.Warning, Subject, $"{what} is mounted soft: a write that the server answers late counts as failed, and its dump with it", "mount it with hard");
            // The kernel shows the option only where it is not the default, all.
            case "nfs" or "nfs4" when !mount.Options.Any(option => option.StartsWith("lookupcache=", StringComparison.Ordinal)):
                return new(FindingLevel.Warning, Subject, $"{what} remembers which names are not there: this node may find a dump that another one has begun only later than its kernel waits", "mount it with lookupcache=positive,actimeo=3");
            case "nfs" or "nfs4" or "ceph" or "fuse.ceph-fuse" or "glusterfs" or "fuse.glusterfs" or "lustre" or "gpfs" or "gfs2" or "ocfs2" or "beegfs":
                return new(FindingLevel.Ok, Subject, $"{what}, for all nodes of the virtual address");
            case "cifs" or "smb3" or "9p":
                return new(FindingLevel.Warning, Subject, $"{what} does not tell a node at once what another one does there: dumps may be taken over late", "use NFS 4 or CephFS");
            default:
                return new(FindingLevel.Warning, Subject, $"{what} is this machine's own, unless you know better: no other node sees dumps there, and --takeover only costs time", "mount one directory on all nodes (NFS, CephFS), or serve without --takeover");
        }
    }
}
