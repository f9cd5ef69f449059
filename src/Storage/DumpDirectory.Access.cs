using System.Runtime.Versioning;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    private const UnixFileMode OthersRead = UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
    private const UnixFileMode OthersWrite = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>What other users may do in the dump directory, a sentence each that ends with the command against it; empty where it is this user's alone.</summary>
    [UnsupportedOSPlatform("windows")]
    public IReadOnlyList<string> AccessOfOthers()
    {
        var findings = new List<string>();
        var mode = File.GetUnixFileMode(_handle);
        string octal = Convert.ToString((int)mode, 8).PadLeft(4, '0');
        if ((mode & OthersWrite) != 0)
            findings.Add($"dump directory {Root} has mode {octal}: other users can remove dumps and put files in their place; run: chmod 0700 '{Root}'");
        else if ((mode & OthersRead) != 0)
            findings.Add($"dump directory {Root} has mode {octal}: other users can see which hosts panicked and when; run: chmod 0700 '{Root}'");

        // Root may do everything anyway.
        uint user = Posix.EffectiveUser();
        if (Posix.OwnerOf(_handle)?.User is uint owner && owner != user && owner != 0)
            findings.Add($"dump directory {Root} belongs to user {owner}, the collector runs as {user} ({Environment.UserName}): its owner can change dumps; run: chown {user} '{Root}'");
        return findings;
    }
}
