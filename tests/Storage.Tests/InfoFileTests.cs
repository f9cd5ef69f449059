using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests;

public sealed class InfoFileTests
{
    private static readonly TimeZoneInfo s_zone = TimeZoneInfo.CreateCustomTimeZone("test", TimeSpan.FromHours(-8), "test", "test");

    [Fact]
    public void A_real_kernels_dump_reads_as_netdumpd_writes_it()
    {
        var header = KernelDumpHeader.Read(Dumps.Golden("kdh-none-none.bin"))!;

        Assert.Equal(
            """
            Dump from crashy [10.0.2.7]
              Architecture: amd64
              Architecture Version: 2
              Dump Length: 48640000B (46 MB)
              Blocksize: 4096
              Compression: none
              Dumptime: Fri Nov 20 16:34:11 2026
              Hostname: 
              Version String: FreeBSD 14.0-CURRENT #1: Sat Nov 21 00:19:43 UTC 2026\x0a    root@build:/usr/obj/usr/src/
              Panic String: kdb_sysctl_panic
              Header Parity Check: Pass
            Dump complete

            """,
            Text(Dumps.Complete(header.DumpLength, header)));
    }

    [Fact]
    public void A_day_below_ten_is_padded_as_by_ctime()
    {
        byte[] raw = KernelDumpHeader.Create("amd64", 1, new(2026, 3, 7, 20, 5, 9, TimeSpan.Zero), 0, 512, DumpCompression.Zstd, "h", "v", "p");

        string text = Text(Dumps.Complete(1, KernelDumpHeader.Read(raw)));

        Assert.Contains("\n  Dumptime: Sat Mar  7 12:05:09 2026\n", text, StringComparison.Ordinal);
        Assert.Contains("\n  Compression: zstd\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_latest_time_a_header_can_hold_is_no_error()
    {
        byte[] raw = KernelDumpHeader.Create("amd64", 1, DateTimeOffset.MaxValue, 0, 512, DumpCompression.None, "h", "v", "p");

        foreach (double hours in (double[])[-8, 14])
        {
            var zone = TimeZoneInfo.CreateCustomTimeZone("far", TimeSpan.FromHours(hours), "far", "far");
            Assert.Contains("Dec 31", InfoFile.Text(Dumps.Complete(1, KernelDumpHeader.Read(raw)), "h", Dumps.Client, "m", zone), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Holes_and_damage_are_listed_with_inclusive_ends_and_counted_beyond_64()
    {
        ByteRange[] holes = [.. Enumerable.Range(0, 100).Select(i => new ByteRange((ulong)i * 10, ((ulong)i * 10) + 4))];
        var summary = Dumps.TimedOut(1000) with { Reason = EndReason.Finished, Missing = holes, MissingRanges = 5000, MissingBytes = 20000, Damaged = [new(5, 6)] };

        string[] lines = Text(summary).Split('\n');

        Assert.Equal("  Missing: 0-3 (4 bytes)", lines[1]);
        Assert.Equal("  Missing: 630-633 (4 bytes)", lines[64]);
        Assert.Equal("  Missing: ... and 4936 more ranges, see dump.crashy.0.json", lines[65]);
        Assert.Equal("  Damaged: 5-5 (1 bytes)", lines[66]);
        Assert.Equal("Dump incomplete: 20000 bytes missing in 5000 ranges", lines[67]);
    }

    [Theory]
    [InlineData(DumpStatus.Complete, EndReason.Finished, "Dump complete")]
    [InlineData(DumpStatus.Complete, EndReason.SilentAfterHeader, "Dump complete")]
    [InlineData(DumpStatus.Incomplete, EndReason.ClientTimedOut, "Dump incomplete: client timed out")]
    [InlineData(DumpStatus.Incomplete, EndReason.Superseded, "Dump incomplete: superseded by a new dump of the same host")]
    [InlineData(DumpStatus.Incomplete, EndReason.MachineCrashed, "Dump incomplete: the server's machine crashed")]
    [InlineData(DumpStatus.Incomplete, EndReason.InternalError, "Dump incomplete: internal error: boom")]
    [InlineData(DumpStatus.Incomplete, EndReason.Finished, "Dump incomplete: its length is not known")]
    [InlineData(DumpStatus.Incomplete, EndReason.WriteError, "Dump unsuccessful: write error: boom")]
    [InlineData(DumpStatus.Damaged, EndReason.Finished, "Dump damaged: 30 bytes in 2 ranges changed between transmissions")]
    [InlineData(DumpStatus.Damaged, EndReason.WriteError, "Dump unsuccessful: write error: boom")]
    [InlineData(DumpStatus.Headerless, EndReason.Finished, "Dump without a valid kernel dump header")]
    public void The_last_line_says_how_it_ended(DumpStatus status, EndReason reason, string line) =>
        Assert.Equal(line, InfoFile.LastLine(Dumps.Complete(1) with { Status = status, Reason = reason, Error = "boom", Damaged = [new(0, 10), new(20, 40)] }));

    [Fact]
    public void No_text_from_outside_passes_for_a_complete_dump_or_adds_a_line()
    {
        byte[] raw = KernelDumpHeader.Create("Dump complete", 1, Dumps.StartedAt, 0, 512, DumpCompression.None, "Dump complete", "x\nDump complete", "Dump complete");
        var summary = Dumps.TimedOut(1) with { Header = KernelDumpHeader.Read(raw), Reason = EndReason.WriteError, Error = "x\r\nDump complete" };

        string text = Text(summary, "Dump complete");

        Assert.DoesNotContain("Dump complete", text, StringComparison.Ordinal);
        Assert.Equal(12, text.TrimEnd('\n').Split('\n').Length);
    }

    [Fact]
    public void An_invalid_header_is_noted()
    {
        byte[] raw = KernelDumpHeader.Create("amd64", 1, Dumps.StartedAt, 0, 512, DumpCompression.None, "h", "v", "p");
        raw[0] = (byte)'X';
        string badMagic = Text(Dumps.TimedOut(1) with { Header = KernelDumpHeader.Read(raw) });
        byte[] zero = KernelDumpHeader.Create("amd64", 0, Dumps.StartedAt, 0, 512, DumpCompression.None, "h", "v", "p");
        string noLength = Text(Dumps.TimedOut(1) with { Header = KernelDumpHeader.Read(zero) });

        Assert.Contains("\n  Header Parity Check: Fail\n  Header Invalid: unknown magic 'XreeBSD Kernel Dump'\n", badMagic, StringComparison.Ordinal);
        Assert.Contains("\n  Header Parity Check: Pass\n  Header Invalid: version 4, dump length 0\n", noLength, StringComparison.Ordinal);
    }

    [Fact]
    public void A_moved_first_burst_is_noted() =>
        Assert.Contains("\n  Relocated: ", Text(Dumps.Complete(1) with { Relocated = true }), StringComparison.Ordinal);

    private static string Text(DumpSummary summary, string host = "crashy") => InfoFile.Text(summary, host, Dumps.Client, "dump.crashy.0.json", s_zone);
}
