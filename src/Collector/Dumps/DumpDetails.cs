using System.Globalization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Collector.Dumps;

/// <summary>Everything about one dump, for people.</summary>
internal static class DumpDetails
{
    private const int MaxListedRanges = 20;

    public static void Write(CatalogedDump dump, TextWriter output)
    {
        var manifest = dump.Manifest;
        Line(output, "Id", manifest.Id);
        Line(output, "Host", $"{manifest.Host} ({manifest.Client})");
        Line(output, "Status", $"{Word(manifest.Status)} ({Word(manifest.Reason)})");
        if (manifest.Pinned)
            Line(output, "Pinned", "yes, retention never deletes it");
        if (manifest.Continues is { } continues)
            Line(output, "Part of", $"{continues.Id}, which node {continues.Node} had before{(manifest.Stitching ? "; what other nodes have is being fetched" : DumpStitching.IsAwaited(manifest, TimeProvider.System.GetUtcNow()) ? "; what other nodes have is fetched when their parts have ended" : "")}");
        if (manifest.Within is { } whole)
            Line(output, "Whole as", $"{whole.Id}, at node {whole.Node}");
        if (manifest.KeyMissing is { } holes)
            WriteRanges("Key lacks", holes, holes.Count, output);
        foreach (var segment in manifest.Segments ?? [])
            Line(output, "Segment", Text($"{segment.Epoch}, of node {segment.Node}: {segment.Bytes} bytes{(segment.Id is string id ? $" ({id})" : "")}"));
        if (manifest.Error is string error)
            Line(output, "Error", error);
        Line(output, "Started", Text($"{manifest.StartedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss}Z, took {manifest.DurationSeconds:F1} s"));
        Line(output, "Size", Text($"{ByteSize.Format(manifest.Bytes)} ({manifest.Bytes} bytes), {manifest.CoveredBytes} received"));
        WriteKdh(manifest.Kdh, output);
        Line(output, "Endpoint", $"{manifest.Endpoint.Address}:{manifest.Endpoint.Port} ({manifest.Endpoint.Mode})");
        Line(output, "Traffic", Text($"{manifest.Packets} packets, {manifest.Retransmissions} repeated, {manifest.Rejected} rejected, {manifest.Bursts} bursts, {manifest.QuietBursts} of them with a gap"));
        if (manifest.TruncatedBy is string policy)
            Line(output, "Truncated", $"by policy ({policy}): only the first bytes are stored");
        if (manifest.Relocated)
            Line(output, "Relocated", "the first burst came at a stale offset and is stored at offset 0");
        Line(output, "SHA-256", manifest.Sha256 ?? Word(manifest.HashState));
        if (manifest.Script is ManifestScript script)
            Line(output, "Script", $"{script.Path} {script.Reason}: {ResultOf(script)}");
        else if (manifest.ScriptPending)
            Line(output, "Script", "has not come to its end yet");
        Line(output, "Core file", dump.VmcorePath);
        Line(output, "Info file", dump.InfoPath);
        if (dump.KeyPath is string keyPath)
            Line(output, "Key file", keyPath);
        Line(output, "Manifest", dump.ManifestPath);
        WriteRanges("Missing", manifest.Missing, manifest.MissingRanges, output);
        WriteRanges("Unverified", manifest.Unverified, manifest.UnverifiedRanges, output);
        WriteRanges("Damaged", manifest.Damaged, manifest.Damaged.Count, output);
    }

    private static void WriteKdh(ManifestKdh? kdh, TextWriter output)
    {
        if (kdh is null)
        {
            Line(output, "Header", "none came");
            return;
        }

        Line(output, "Header", Text($"version {kdh.Version}, {(kdh.Valid ? "valid" : "not valid")}, parity {(kdh.ParityPasses ? "passes" : "fails")}"));
        Line(output, "Panic", kdh.PanicString);
        Line(output, "Host name", kdh.Hostname);
        Line(output, "Kernel", kdh.VersionString);
        Line(output, "Architecture", kdh.Architecture);
        Line(output, "Dumped", Text($"{kdh.DumpTime.UtcDateTime:yyyy-MM-dd HH:mm:ss}Z, {kdh.DumpLength} bytes"));
        Line(output, "Compression", kdh.Compression);
        if (kdh.DumpKeySize > 0)
            Line(output, "Encrypted", Text($"key of {kdh.DumpKeySize} bytes"));
    }

    private static void WriteRanges(string name, IReadOnlyList<ByteRange> ranges, int count, TextWriter output)
    {
        foreach (var range in ranges.Take(MaxListedRanges))
            Line(output, name, Text($"{range}, {range.Length} bytes"));
        if (count > MaxListedRanges)
            Line(output, name, Text($"and {count - MaxListedRanges} more ranges"));
    }

    private static string ResultOf(ManifestScript script) => script switch
    {
        { TimedOut: true } => Text($"killed after {script.DurationSeconds:F1} s"),
        { ExitCode: int exitCode } => Text($"exit code {exitCode} after {script.DurationSeconds:F1} s"),
        _ => "did not run",
    };

    private static void Line(TextWriter output, string name, string value) => output.WriteLine($"{name + ":",-14}{value}");

    private static string Word<T>(T value) where T : struct, Enum => System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
