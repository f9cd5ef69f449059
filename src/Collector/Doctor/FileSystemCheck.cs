using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>What kind of file system dumps would lie on.</summary>
internal static class FileSystemCheck
{
    private const string Subject = "file system";

    public static IEnumerable<Finding> Look(string directory) => [Judge(MountedFileSystem.Of(MountedFileSystem.RealPathOf(directory) ?? directory))];

    public static Finding Judge(MountedFileSystem? mount)
    {
        if (mount is null)
            return new(FindingLevel.LeftOut, Subject, "the system does not tell which it is (/proc/self/mountinfo)");

        string what = $"{mount.Kind} at {mount.MountPoint} ({mount.Source})";
        if (mount.IsReadOnly)
            return new(FindingLevel.Problem, Subject, $"{what} is read-only: no dump can be stored", $"mount -o remount,rw '{mount.MountPoint}', or name a directory elsewhere with -d");

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
}
