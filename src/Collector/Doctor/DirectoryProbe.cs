using System.ComponentModel;
using System.Diagnostics;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether a directory answers at all, found out by another process.</summary>
/// <remarks>A thread whose call a dead device or FUSE file system holds cannot be ended, and neither can its process; so this one does not touch what hangs.</remarks>
internal static class DirectoryProbe
{
    /// <summary>Lists, asks for room, writes, syncs and removes: each of them may be what hangs. That one fails is of no interest here.</summary>
    private const string Script = """
        d=$1
        while [ ! -d "$d" ] && [ "$d" != / ]; do d=$(dirname -- "$d"); done
        cd -- "$d" && ls -f && df . && f=.writable.$$.tmp && (set -C; : >"$f") && { echo >"$f"; sync "$f"; rm -f "$f"; }
        """;

    /// <summary>Waits until all of that is done, or failed.</summary>
    /// <returns>False when it is still not after <paramref name="patience"/>.</returns>
    public static bool Answers(string directory, TimeSpan patience)
    {
        // Whoever reads what this process prints must not wait for a child that is stuck.
        var info = new ProcessStartInfo("/bin/sh", ["-c", Script, "sh", Path.GetFullPath(directory)]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var child = Process.Start(info)!;
            child.OutputDataReceived += (_, _) => { };
            child.ErrorDataReceived += (_, _) => { };
            child.BeginOutputReadLine();
            child.BeginErrorReadLine();
            if (child.WaitForExit(patience))
                return true;
            child.Kill();
            return false;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            // Without a shell nothing is known; the looks have limits of their own.
            return true;
        }
    }
}
