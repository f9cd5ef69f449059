using System.Runtime.Versioning;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether dumps can land in the dump directory, and who else has access to it.</summary>
[UnsupportedOSPlatform("windows")]
internal static class DirectoryCheck
{
    public const string Subject = "dump directory";

    public static IEnumerable<Finding> Look(CollectorSettings settings)
    {
        string root = Path.GetFullPath(settings.Directory);
        if (!Directory.Exists(root))
        {
            return [Path.Exists(root)
                ? new(FindingLevel.Problem, Subject, $"{root} is not a directory", "name another one with -d, or move the file away")
                : new(FindingLevel.Ok, Subject, $"{root} is not there yet; serve makes it, for its own user only")];
        }

        try
        {
            var findings = new List<Finding>();
            using (var directory = DumpDirectory.Open(root, settings.DefaultPath))
                findings.AddRange(directory.AccessOfOthers().Select(sentence => Finding.FromSentence(FindingLevel.Warning, Subject, sentence)));
            if (findings.Count == 0)
                findings.Add(new(FindingLevel.Ok, Subject, $"{root} can be written to, and is this user's alone"));
            if (MountedFileSystem.RealPathOf(root) is string real && real != root)
                findings.Add(new(FindingLevel.Ok, Subject, $"{root} leads through a link to {real}"));
            return findings;
        }
        catch (StorageException e)
        {
            return [Finding.FromSentence(FindingLevel.Problem, Subject, e.Message)];
        }
    }

    /// <summary>The directory, or where it is not there yet the nearest one above it, which will hold it.</summary>
    public static string ExistingOf(string directory)
    {
        string path = Path.GetFullPath(directory);
        while (!Directory.Exists(path) && Path.GetDirectoryName(path) is string above)
            path = above;
        return path;
    }
}
