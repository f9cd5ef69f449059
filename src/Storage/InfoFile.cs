using System.Globalization;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>The info file: what an operator, and every script written for netdumpd, reads first.</summary>
/// <remarks>Source: protocol.md, "Files and conventions of netdumpd".</remarks>
public static class InfoFile
{
    /// <summary>Most ranges that are listed; the manifest has more.</summary>
    private const int MaxListedRanges = 64;

    private const string CompleteLine = "Dump complete";

    /// <summary>The text of the info file.</summary>
    /// <param name="summary">The ended dump.</param>
    /// <param name="host">The host as it is in file names.</param>
    /// <param name="client">The host's address.</param>
    /// <param name="manifestName">Where the reader finds ranges that are not listed.</param>
    /// <param name="zone">The zone of <c>Dumptime</c>.</param>
    public static string Text(DumpSummary summary, string host, Ipv4 client, string manifestName, TimeZoneInfo zone)
    {
        var text = new StringBuilder();
        Line(text, $"Dump from {Harmless(host)} [{client}]");
        if (summary.Header is { } header)
            AppendHeader(text, header, zone);
        AppendRanges(text, "Missing", summary.Missing, summary.MissingRanges, manifestName);
        AppendRanges(text, "Unverified", summary.Unverified, summary.UnverifiedRanges, manifestName);
        AppendRanges(text, "Damaged", summary.Damaged, summary.Damaged.Count, manifestName);
        if (summary.Relocated)
            Line(text, $"  Relocated: the first burst came at a stale offset and is stored at offset 0");
        Line(text, $"{LastLine(summary)}");
        return text.ToString();
    }

    /// <summary>The line that says how the dump ended. Only a complete one says <c>Dump complete</c>.</summary>
    public static string LastLine(DumpSummary summary) => (summary.Status, summary.Reason) switch
    {
        (DumpStatus.Complete, _) => CompleteLine,
        (_, EndReason.WriteError) => $"Dump unsuccessful: write error: {Harmless(summary.Error ?? "unknown")}",
        (DumpStatus.Damaged, _) => string.Create(CultureInfo.InvariantCulture,
            $"Dump damaged: {LengthOf(summary.Damaged)} bytes in {summary.Damaged.Count} ranges changed between transmissions"),
        (DumpStatus.Truncated, _) => string.Create(CultureInfo.InvariantCulture,
            $"Dump truncated by policy ({summary.TruncatedBy}): the first {summary.LengthBytes} bytes are stored, {summary.MissingBytes} are not"),
        (DumpStatus.Headerless, _) => "Dump without a valid kernel dump header",
        (_, EndReason.ClientTimedOut) => "Dump incomplete: client timed out",
        (_, EndReason.Superseded) => "Dump incomplete: superseded by a new dump of the same host",
        (_, EndReason.MachineCrashed) => "Dump incomplete: the server's machine crashed",
        (_, EndReason.InternalError) => $"Dump incomplete: internal error{(summary.Error is null ? "" : $": {Harmless(summary.Error)}")}",
        _ when summary.MissingRanges > 0 => string.Create(CultureInfo.InvariantCulture,
            $"Dump incomplete: {summary.MissingBytes} bytes missing in {summary.MissingRanges} ranges"),
        _ => "Dump incomplete: its length is not known",
    };

    private static void AppendHeader(StringBuilder text, KernelDumpHeader header, TimeZoneInfo zone)
    {
        Line(text, $"  Architecture: {Harmless(header.Architecture)}");
        Line(text, $"  Architecture Version: {header.ArchitectureVersion}");
        Line(text, $"  Dump Length: {header.DumpLength}B ({header.DumpLength >> 20} MB)");
        Line(text, $"  Blocksize: {header.BlockSize}");
        Line(text, $"  Compression: {CompressionName(header.Compression)}");
        var time = TimeZoneInfo.ConvertTime(header.DumpTime, zone);
        Line(text, $"  Dumptime: {time:ddd MMM} {time.Day,2} {time:HH:mm:ss yyyy}");
        Line(text, $"  Hostname: {Harmless(header.Hostname)}");
        Line(text, $"  Version String: {Harmless(header.VersionString)}");
        Line(text, $"  Panic String: {Harmless(header.PanicString)}");
        Line(text, $"  Header Parity Check: {(header.ParityPasses ? "Pass" : "Fail")}");
        if (!header.MagicIsKnown)
            Line(text, $"  Header Invalid: unknown magic '{Harmless(header.Magic)}'");
        else if (!header.IsValid && header.ParityPasses)
            Line(text, $"  Header Invalid: version {header.Version}, dump length {header.DumpLength}");
    }

    private static void AppendRanges(StringBuilder text, string title, IReadOnlyList<ByteRange> ranges, int count, string manifestName)
    {
        int listed = Math.Min(ranges.Count, MaxListedRanges);
        foreach (var range in ranges.Take(listed))
            Line(text, $"  {title}: {range.Start}-{range.End - 1} ({range.Length} bytes)");
        if (count > listed)
            Line(text, $"  {title}: ... and {count - listed} more ranges, see {manifestName}");
    }

    private static string CompressionName(DumpCompression compression) => compression switch
    {
        DumpCompression.None => "none",
        DumpCompression.Gzip => "gzip",
        DumpCompression.Zstd => "zstd",
        _ => string.Create(CultureInfo.InvariantCulture, $"unknown ({(byte)compression})"),
    };

    private static ulong LengthOf(IReadOnlyList<ByteRange> ranges)
    {
        ulong length = 0;
        foreach (var range in ranges)
            length += range.Length;
        return length;
    }

    /// <summary>Scripts search for "Dump complete"; a panic message of that text must not pass for it, nor may any text add a line.</summary>
    private static string Harmless(string text) =>
        text.Replace("\r", @"\x0d", StringComparison.Ordinal).Replace("\n", @"\x0a", StringComparison.Ordinal).Replace(CompleteLine, @"Dump\x20complete", StringComparison.Ordinal);

    private static void Line(StringBuilder text, FormattableString line) => text.Append(FormattableString.Invariant(line)).Append('\n');
}
