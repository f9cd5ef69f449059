using System.Text.RegularExpressions;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A mount, as the kernel's table tells it.</summary>
/// <param name="MountPoint">Where it is.</param>
/// <param name="Kind">Its type: <c>ext4</c>, <c>tmpfs</c>, <c>nfs4</c>, <c>fuse.sshfs</c>.</param>
/// <param name="Source">The device or server.</param>
/// <param name="IsReadOnly">Nothing can be written to it.</param>
/// <remarks>Source: proc_pid_mountinfo(5).</remarks>
public sealed partial record MountedFileSystem(string MountPoint, string Kind, string Source, bool IsReadOnly)
{
    /// <summary>What the file system itself was mounted with, as the kernel shows it: <c>vers=4.2</c>, <c>hard</c>, <c>lookupcache=pos</c>.</summary>
    public IReadOnlyList<string> Options { get; init; } = [];

    internal const string Table = "/proc/self/mountinfo";

    /// <summary>The mount that a path without links lies on; null where the system does not tell. It is not touched, so it may hang.</summary>
    /// <param name="path">Absolute.</param>
    public static MountedFileSystem? Of(string path)
    {
        try
        {
            return Find(File.ReadLines(Table), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The directory's path without links; null where it cannot be opened or the system does not tell.</summary>
    public static string? RealPathOf(string directory)
    {
        using var handle = Posix.Open(directory, Posix.O_RDONLY | Posix.O_DIRECTORY);
        try
        {
            return handle is null ? null : File.ResolveLinkTarget($"/proc/self/fd/{handle.DangerousGetHandle()}", returnFinalTarget: false)?.FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The mount among <paramref name="lines"/> of the table that <paramref name="path"/> lies on.</summary>
    internal static MountedFileSystem? Find(IEnumerable<string> lines, string path)
    {
        MountedFileSystem? found = null;
        foreach (string line in lines)
        {
            // Optional fields stand before the lone hyphen.
            string[] fields = line.Split(' ');
            int hyphen = fields.Length > 6 ? Array.IndexOf(fields, "-", 6) : -1;
            if (hyphen < 0 || hyphen + 3 >= fields.Length)
                continue;
            string mountPoint = Unescaped(fields[4]);
            bool holds = mountPoint == "/" || path == mountPoint || path.StartsWith($"{mountPoint}/", StringComparison.Ordinal);
            // Of two at the same place the later one covers the earlier one.
            if (holds && (found is null || mountPoint.Length >= found.MountPoint.Length))
            {
                string[] options = fields[hyphen + 3].Split(',');
                found = new(mountPoint, fields[hyphen + 1], Unescaped(fields[hyphen + 2]), fields[5].Split(',').Contains("ro") || options.Contains("ro")) { Options = options };
            }
        }

        return found;
    }

    /// <summary>Spaces, tabs, line ends and backslashes are three octal digits behind a backslash there.</summary>
    internal static string Unescaped(string path) => !path.Contains('\\') ? path : OctalEscape().Replace(path, escape => $"{(char)Convert.ToInt32(escape.Groups[1].Value, 8)}");

    [GeneratedRegex(@"\\([0-7]{3})")]
    private static partial Regex OctalEscape();
}
