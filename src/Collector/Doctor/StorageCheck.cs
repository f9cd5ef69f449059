using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the file system does what dumps need, and how fast, tried in a directory of its own.</summary>
[UnsupportedOSPlatform("windows")]
internal static class StorageCheck
{
    public const string Subject = "storage";

    /// <summary>The end of a dump waits for about so many syncs, one after the other.</summary>
    private const int SyncsPerDump = 6;

    /// <summary>A kernel gives up when FINISHED is not acked for so long.</summary>
    private static readonly TimeSpan s_kernelPatience = TimeSpan.FromSeconds(11);

    private static readonly TimeSpan s_slowSync = TimeSpan.FromMilliseconds(250);

    public static IEnumerable<Finding> Look(string directory, CancellationToken stop)
    {
        var findings = new List<Finding>();
        try
        {
            int leftOver = TrialDirectory.RemoveLeftOver(directory);
            if (leftOver > 0)
                findings.Add(new(FindingLevel.Ok, Subject, string.Create(CultureInfo.InvariantCulture, $"removed what {leftOver} earlier runs of doctor left that were killed")));
            using var trial = TrialDirectory.Make(directory);
            findings.AddRange(Judge(FileSystemTrial.Run(trial, stop)));
        }
        catch (StorageException e)
        {
            findings.Add(new(FindingLevel.Problem, Subject, $"{directory}: {e.Message}", $"make room and make it writable for {Environment.UserName}, or name another directory with -d"));
        }

        return findings;
    }

    public static IEnumerable<Finding> Judge(FileSystemTrial trial)
    {
        double megabytesPerSecond = FileSystemTrial.LargeBytes / Math.Max(trial.LargeSync.TotalSeconds, 1e-6) / 1e6;
        string times = string.Create(CultureInfo.InvariantCulture,
            $"a small file is durable in {trial.SmallSync.TotalMilliseconds:F1} ms, {ByteSize.Format(FileSystemTrial.LargeBytes)} in {trial.LargeSync.TotalMilliseconds:F0} ms ({megabytesPerSecond:F0} MB/s)");
        yield return trial.SmallSync * SyncsPerDump > s_kernelPatience
            ? new(FindingLevel.Problem, Subject, $"{times}: a kernel gives up before its dump's end is durable", "name a directory on a faster device with -d")
            : trial.SmallSync > s_slowSync
                ? new(FindingLevel.Warning, Subject, $"{times}: hosts wait for some of these at the end of their dumps", "look at the device (iostat -x 1), or name a directory on a faster one with -d")
                : new(FindingLevel.Ok, Subject, times);

        if (!trial.Locks)
        {
            yield return new(FindingLevel.Warning, Subject, "locks have no effect on this file system: a second collector on the same directory would take the first one's running dumps for left over",
                "run one collector for each directory; on NFS mount without 'nolock'");
        }

        if (trial.Renames is string problem)
            yield return new(FindingLevel.Problem, Subject, $"a file cannot be renamed without replacing another ({problem}): dumps would keep their partial names", "name a directory on another file system with -d");
        if (!trial.KernelKeepsPaths)
            yield return new(FindingLevel.Ok, Subject, "the kernel has no openat2(2), or a sandbox forbids it: of paths that heralds name, those with links are refused");
    }
}
