using System.Globalization;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>How much room there is, and for how many dumps.</summary>
/// <param name="Space">Of the file system; null where it does not say.</param>
/// <param name="FreeInodes">Files that can still be made; null where there is no such limit.</param>
/// <param name="DumpBytes">Lengths of the dumps that are there; null where nobody looked.</param>
internal sealed record RoomFacts(FileSystemSpace? Space, long? FreeInodes, IReadOnlyList<long>? DumpBytes);

/// <inheritdoc cref="RoomFacts"/>
internal static class RoomCheck
{
    private const string Subject = "room";

    /// <summary>Of a kernel whose size nobody knows: its own memory and what it had in use are rarely less.</summary>
    private const long UnknownDumpBytes = 4L << 30;

    /// <summary>Less is no dump at all.</summary>
    private const long NoRoomBytes = 16 << 20;

    /// <summary>A dump has a data file, ledger, info, manifest and key, two links and bounds, and drafts of some of them.</summary>
    private const long InodesPerDump = 12;

    private const int EnoughDumps = 3;

    public static IEnumerable<Finding> Look(CollectorSettings settings, string directory, DumpCatalog? catalog) => Judge(settings, directory, new(
        FileSystemSpace.Of(directory), FileSystemSpace.InodesOf(directory)?.Free, catalog?.Dumps.Select(dump => (long)dump.Manifest.Bytes).ToArray()));

    public static IEnumerable<Finding> Judge(CollectorSettings settings, string directory, RoomFacts facts)
    {
        if (facts.Space is not { } space)
        {
            yield return new(FindingLevel.LeftOut, Subject, "the file system does not say how much room it has");
            yield break;
        }

        string free = $"{ByteSize.Format(space.FreeBytes)} of {ByteSize.Format(space.TotalBytes)} free";
        string less = settings.Retention.IsOff ? "; nothing deletes old dumps (--retain-age, --retain-count, --retain-size)" : "";
        const string Advice = "make room: netdump-collector dumps prune --retain-count 3 --dry-run shows what could go; or name another directory with -d";
        if (new Headroom(settings.MinFree, settings.WhenFull, _ => space).Judge(directory) is { } shortage)
        {
            yield return new(FindingLevel.Problem, Subject,
                $"{shortage.Words}: {(settings.WhenFull == WhenFull.Refuse ? "no dump begins" : settings.WhenFull == WhenFull.Headers ? "of new dumps only the first bytes are kept" : "old dumps are deleted before a new one begins")}", Advice);
        }
        else if (space.FreeBytes < NoRoomBytes)
            yield return new(FindingLevel.Problem, Subject, $"{free}: no dump fits", Advice);
        else
        {
            long largest = facts.DumpBytes is { Count: > 0 } known ? Math.Max(known.Max(), 1) : UnknownDumpBytes;
            string size = facts.DumpBytes is { Count: > 0 } sizes
                ? Text($"{ByteSize.Format(largest)}, the largest of {sizes.Count} known ones (on average {ByteSize.Format(sizes.Average())})")
                : Text($"{ByteSize.Format(UnknownDumpBytes)} (none is known yet; a dump is what a kernel had in use of its memory)");
            bool isTight = space.FreeBytes / largest < EnoughDumps;
            yield return new(isTight ? FindingLevel.Warning : FindingLevel.Ok, Subject, Text($"{free}: room for {space.FreeBytes / largest} dumps of {size}{less}"),
                isTight ? $"{Advice}; --keep head:1M keeps what a storm cannot fill" : null);
        }

        if (facts.FreeInodes is long inodes && inodes < InodesPerDump * 100)
        {
            yield return new(inodes < InodesPerDump ? FindingLevel.Problem : FindingLevel.Warning, Subject, Text($"only {inodes} more files can be made on the file system (inodes), and a dump needs {InodesPerDump}"),
                "remove files, or use a file system with more inodes: df -i");
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
