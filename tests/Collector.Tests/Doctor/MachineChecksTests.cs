using NetdumpCollector.Collector.Doctor;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Tests.Doctor;

/// <summary>What is said of machine, limits, buffers, counters, clock and user.</summary>
public sealed class MachineChecksTests
{
    private static readonly CollectorSettings s_settings = CollectorSettings.Defaults;
    private static readonly MachineFacts s_machine = new("Linux 6.1", "linux", Segments: true, Gathers: true, Processors: 4, AvailableBytes: 16L << 30, AffordableSessions: 4096);

    [Fact]
    public void A_machine_that_does_everything_is_fine() => AssertAll(FindingLevel.Ok, MachineCheck.Judge(s_settings, s_machine));

    [Theory]
    [InlineData("portable", true, true, "Linux 5.0")]
    [InlineData("linux", false, true, "Linux 5.0")]
    [InlineData("linux", true, false, "Linux 5.0")]
    public void What_makes_each_packet_dear_is_a_warning(string transport, bool segments, bool gathers, string advice) =>
        AssertOne(FindingLevel.Warning, "processor time", advice, MachineCheck.Judge(s_settings, s_machine with { Transport = transport, Segments = segments, Gathers = gathers }));

    [Fact]
    public void A_transport_that_does_not_work_keeps_serve_from_starting() =>
        AssertOne(FindingLevel.Problem, "'linux' does not work", "--transport auto", MachineCheck.Judge(s_settings with { Transport = TransportChoice.Linux }, s_machine with { Transport = null }));

    [Fact]
    public void More_loops_than_processors_wait_for_each_other() =>
        AssertOne(FindingLevel.Warning, "8 event loops share 4", "--loops auto", MachineCheck.Judge(s_settings with { Loops = 8 }, s_machine));

    [Fact]
    public void Little_memory_says_for_how_many_dumps_it_is_enough() =>
        AssertOne(FindingLevel.Warning, "enough for 204", "--max-sessions 204", MachineCheck.Judge(s_settings, s_machine with { AvailableBytes = 256 << 20 }));

    [Fact]
    public void Few_descriptors_name_the_limit_that_would_do()
    {
        var finding = Assert.Single(LimitsCheck.Judge(maxSessions: 4096, descriptors: 1024, affordable: 118, maxFileBytes: null));

        Assert.Equal(FindingLevel.Warning, finding.Level);
        Assert.Contains("enough for 118 dumps", finding.Found, StringComparison.Ordinal);
        Assert.Equal("ulimit -n 28992, or LimitNOFILE=28992 in the unit", finding.Advice);
    }

    [Theory]
    [InlineData(4096, 5000)]
    [InlineData(4096, 1000)]
    [InlineData(50, 50)]
    public void Descriptors_for_a_storm_are_enough(int maxSessions, int affordable) => AssertAll(FindingLevel.Ok, LimitsCheck.Judge(maxSessions, 32768, affordable, null));

    [Theory]
    [InlineData("Max file size             unlimited            unlimited            bytes", null)]
    [InlineData("Max file size             1048576              unlimited            bytes", 1048576L)]
    [InlineData("Max open files            1024                 4096                 files", null)]
    public void The_limit_of_a_files_length_is_read(string line, long? expected) => Assert.Equal(expected, LimitsCheck.FileSizeLimitOf(["Limit  Soft Limit  Hard Limit  Units", line]));

    [Fact]
    public void A_limit_of_a_files_length_cuts_dumps() =>
        AssertOne(FindingLevel.Warning, "files may have 1.0 GiB at most", "LimitFSIZE=infinity", LimitsCheck.Judge(10, 1024, 100, 1 << 30));

    [Fact]
    public void A_small_buffer_comes_with_the_line_that_raises_it() =>
        AssertOne(FindingLevel.Warning, "8.0 MiB were asked for and 416.0 KiB granted", "sysctl -w net.core.rmem_max=8388608", [ReceiveBufferCheck.Judge(new(8 << 20, 425_984, 212_992))]);

    [Fact]
    public void A_buffer_that_only_privilege_grants_is_told_of() =>
        AssertOne(FindingLevel.Ok, "a service without CAP_NET_ADMIN may not", "sysctl -w net.core.rmem_max=67108864", [ReceiveBufferCheck.Judge(new(64 << 20, 128 << 20, 212_992))]);

    [Fact]
    public void A_buffer_within_the_limit_is_fine() => Assert.Equal(new(FindingLevel.Ok, "receive buffer", "8.0 MiB asked for and granted"), ReceiveBufferCheck.Judge(new(8 << 20, 16 << 20, 64 << 20)));

    [Fact]
    public void Nothing_lost_is_fine() => AssertAll(FindingLevel.Ok, UdpCountersCheck.Judge(new HostUdp(0, 0), 0, 1000));

    [Fact]
    public void What_was_lost_is_told_by_reason()
    {
        var findings = UdpCountersCheck.Judge(new HostUdp(ChecksumErrors: 7, ReceiveBufferErrors: 5), backlogDrops: 3, maxBacklog: 1000).ToArray();

        Assert.Equal(3, findings.Length);
        AssertOne(FindingLevel.Warning, "5 since boot because a program's receive buffer was full", "net.core.rmem_max", findings);
        AssertOne(FindingLevel.Warning, "7 since boot because their checksum was wrong", "leave checksums on", findings);
        AssertOne(FindingLevel.Warning, "3 since boot because a processor did not keep up", "sysctl -w net.core.netdev_max_backlog=10000", findings);
    }

    [Fact]
    public void Backlog_drops_of_all_processors_count() => Assert.Equal(0x1f + 2, UdpCountersCheck.BacklogDropsOf(["00000100 0000001f 00000000", "00000100 00000002 00000000"]));

    [Fact]
    public void Unknown_counters_are_left_out() => AssertAll(FindingLevel.LeftOut, UdpCountersCheck.Judge(null, 0, 1000));

    [Theory]
    [InlineData("2026-11-21T00:00:00Z", 2_500L, FindingLevel.Ok, "synchronized to within 2.5 ms")]
    [InlineData("2026-11-21T00:00:00Z", 16_000_000L, FindingLevel.Warning, "is not synchronized")]
    [InlineData("2026-11-21T00:00:00Z", null, FindingLevel.LeftOut, "does not tell")]
    [InlineData("1970-01-01T00:05:00Z", 0L, FindingLevel.Warning, "1970-01-01 00:05:00Z, which cannot be")]
    [InlineData("2106-02-07T00:00:00Z", 0L, FindingLevel.Warning, "which cannot be")]
    internal void The_clock_is_judged(string now, long? maxErrorUs, FindingLevel level, string found)
    {
        var finding = ClockCheck.Judge(DateTimeOffset.Parse(now, System.Globalization.CultureInfo.InvariantCulture), new(2026, 11, 1, 0, 0, 0, TimeSpan.Zero), maxErrorUs);

        Assert.Equal(level, finding.Level);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
        Assert.Equal(level == FindingLevel.Warning, finding.Advice is not null);
    }

    [Fact]
    public void Root_is_told_that_a_service_may_be_refused_more()
    {
        Assert.Equal(FindingLevel.Warning, PrivilegesCheck.Judge("root", isRoot: true).Level);
        Assert.Equal(FindingLevel.Ok, PrivilegesCheck.Judge("netdump", isRoot: false).Level);
    }

    [Fact]
    public void A_sentence_is_split_where_its_advice_begins()
    {
        Assert.Equal(new(FindingLevel.Problem, "x", "a; b", "do c"), Finding.FromSentence(FindingLevel.Problem, "x", "a; b; do c"));
        Assert.Equal(new(FindingLevel.Problem, "x", "a"), Finding.FromSentence(FindingLevel.Problem, "x", "a"));
    }

    private static void AssertAll(FindingLevel level, IEnumerable<Finding> findings) => Assert.All(findings.ToArray(), finding => Assert.Equal(level, finding.Level));

    private static void AssertOne(FindingLevel level, string found, string advice, IEnumerable<Finding> findings) => Assert.Single(findings,
        finding => finding.Level == level && finding.Found.Contains(found, StringComparison.Ordinal) && finding.Advice is string text && text.Contains(advice, StringComparison.Ordinal));
}
