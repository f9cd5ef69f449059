using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>What the files of a shared dump's owners are called: the first owner's as any running dump's, the others' with their number behind it.</summary>
internal static class SegmentName
{
    private const string EpochPrefix = ".e";

    /// <summary>The owner's data.</summary>
    /// <param name="name">The dump's: <c>partial.IP.ID</c>.</param>
    /// <param name="epoch">The owner's number, from 1 on.</param>
    public static string Of(string name, int epoch) => epoch == 1 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}{EpochPrefix}{epoch}");

    /// <summary>The owner's ledger; or, in its place, the note that the owner before it has ended the dump (a commit marker).</summary>
    public static string LedgerOf(string name, int epoch) => Of(name, epoch) + DumpFile.LedgerSuffix;

    /// <summary>The file is a later owner's than the first.</summary>
    public static bool IsOfLaterOwner(ReadOnlySpan<char> fileName)
    {
        if (fileName.EndsWith(DumpFile.LedgerSuffix, StringComparison.Ordinal))
            fileName = fileName[..^DumpFile.LedgerSuffix.Length];
        int dot = fileName.LastIndexOf('.');
        return dot > 0 && fileName.StartsWith(DumpFile.NamePrefix, StringComparison.Ordinal) && fileName[dot..].StartsWith(EpochPrefix, StringComparison.Ordinal)
            && int.TryParse(fileName[(dot + EpochPrefix.Length)..], NumberStyles.None, CultureInfo.InvariantCulture, out _);
    }
}
