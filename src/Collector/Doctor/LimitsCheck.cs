using System.Globalization;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>What this process may use: descriptors for sessions, and the length of a file.</summary>
internal static class LimitsCheck
{
    private const string Subject = "limits";
    private const string FileSizeLimit = "Max file size";

    public static IEnumerable<Finding> Look(CollectorSettings settings) =>
        Judge(settings.MaxSessions, DescriptorBudget.SoftLimit(), DescriptorBudget.MaxSessions(), FileSizeLimitOf(Proc.Lines("/proc/self/limits")));

    /// <param name="maxSessions">Dumps at one time that the settings allow.</param>
    /// <param name="descriptors">The limit of open files, null where it is not known.</param>
    /// <param name="affordable">Dumps at one time that it is enough for.</param>
    /// <param name="maxFileBytes">The limit of a file's length, null for none.</param>
    public static IEnumerable<Finding> Judge(int maxSessions, long? descriptors, int affordable, long? maxFileBytes)
    {
        if (descriptors is null)
            yield return new(FindingLevel.LeftOut, Subject, "the system does not tell how many files may be open");
        else if (affordable < maxSessions)
        {
            long wanted = DescriptorBudget.DescriptorsFor(maxSessions);
            yield return new(affordable < Math.Min(maxSessions, Server.FewSessions) ? FindingLevel.Warning : FindingLevel.Ok, Subject,
                Text($"{descriptors} open files are enough for {affordable} dumps at one time, --max-sessions is {maxSessions}; more hosts wait, and give up after about 11 s"),
                Text($"ulimit -n {wanted}, or LimitNOFILE={wanted} in the unit"));
        }
        else
            yield return new(FindingLevel.Ok, Subject, Text($"{descriptors} open files are enough for {maxSessions} dumps at one time"));

        if (maxFileBytes is long bytes)
        {
            yield return new(FindingLevel.Warning, Subject, $"files may have {ByteSize.Format(bytes)} at most: of a longer dump nothing more is acked, and its host gives up",
                "ulimit -f unlimited, or LimitFSIZE=infinity in the unit");
        }
    }

    internal static long? FileSizeLimitOf(IEnumerable<string> lines) =>
        lines.FirstOrDefault(line => line.StartsWith(FileSizeLimit, StringComparison.Ordinal)) is string line
        && long.TryParse(line[FileSizeLimit.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], NumberStyles.None, CultureInfo.InvariantCulture, out long bytes) ? bytes : null;

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
