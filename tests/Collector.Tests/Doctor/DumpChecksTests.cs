using System.Runtime.Versioning;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Doctor;
using NetdumpCollector.Collector.Send;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Tests.Doctor;

/// <summary>What is said of synthetic dumps and of a collector that runs, and how it is told.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DumpChecksTests
{
    private const string Metrics = """
        # TYPE netdump_build_info gauge
        netdump_build_info{version="0.1.0"} 1
        netdump_dumps_receiving 3
        netdump_dumps_total{outcome="complete"} 41
        netdump_dumps_total{outcome="incomplete"} 2
        netdump_herald_dropped_packets_total 0
        netdump_session_dropped_packets_total 12

        """;

    private static readonly SendSummary s_summary = new()
    {
        Server = "127.0.0.1:20023",
        Clients = 1,
        Done = 1,
        Failed = 0,
        Failures = [],
        Bytes = 1 << 20,
        Seconds = 0.1,
        MegabytesPerSecond = 10,
        Packets = 800,
        RetransmittedPackets = 0,
        RetransmitRounds = 0,
        WorstBurstRounds = 0,
        Acks = 800,
        HeraldSeconds = 0.001,
        LongestBurstSeconds = 0.002,
        FinishedSeconds = 0.01,
    };

    [Fact]
    public void A_collector_that_is_ready_and_loses_nothing_is_fine()
    {
        var finding = Assert.Single(RunningServerCheck.Judge(new(null, Metrics.Replace(" 12", " 0", StringComparison.Ordinal))));

        Assert.Equal(new(FindingLevel.Ok, "running collector", "it is ready; 3 dumps arriving, 41 complete since its start"), finding);
    }

    [Fact]
    public void What_a_collector_lost_is_told_with_its_number() => Assert.Single(RunningServerCheck.Judge(new(null, Metrics)),
        finding => finding.Level == FindingLevel.Warning && finding.Found.StartsWith("12 packets were dropped at sessions' sockets", StringComparison.Ordinal));

    [Fact]
    public void A_collector_that_is_not_ready_is_a_problem() => Assert.Single(RunningServerCheck.Judge(new("503 dump directory /srv does not answer", Metrics)),
        finding => finding.Level == FindingLevel.Problem && finding.Found.EndsWith("/srv does not answer", StringComparison.Ordinal));

    [Fact]
    public void What_answers_and_is_no_collector_is_not_taken_for_one()
    {
        Assert.False(RunningServerCheck.IsCollector("up 1\n"));
        Assert.Equal(FindingLevel.Warning, Assert.Single(RunningServerCheck.Judge(new(null, null))).Level);
    }

    [Fact]
    public void Samples_of_one_metric_are_added_up()
    {
        Assert.Equal(43, RunningServerCheck.Sum(Metrics, "netdump_dumps_total"));
        Assert.Equal(2, RunningServerCheck.Sum(Metrics, "netdump_dumps_total{outcome=\"incomplete\"}"));
        Assert.Null(RunningServerCheck.Sum(Metrics, "netdump_dumps"));
    }

    [Fact]
    public void A_dump_that_was_refused_says_in_which_step()
    {
        var failed = s_summary with { Failed = 1, Failures = [new("finished", 1, "the end was not confirmed")] };
        var finding = TrialServerCheck.Judge(TimeSpan.Zero, new("from a to b", failed, null, null), "; the server says: disk full");

        Assert.Equal(FindingLevel.Problem, finding.Level);
        Assert.Equal("failed from a to b in finished after 1.0 MiB: the end was not confirmed; the server says: disk full", finding.Found);
    }

    [Fact]
    public void A_dump_that_was_acked_and_is_not_there_is_a_problem() =>
        Assert.Equal(FindingLevel.Problem, TrialServerCheck.Judge(TimeSpan.Zero, new("from a to b", s_summary, null, null), "").Level);

    [Fact]
    public void A_dump_that_another_directory_got_is_no_proof_of_loss()
    {
        var finding = DrillCheck.Judge(CollectorSettings.Defaults with { Directory = "/srv/other" }, new("from a to b", s_summary, null, null));

        Assert.Equal(FindingLevel.Warning, finding.Level);
        Assert.Contains("not in /srv/other", finding.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, "xterm", null, true)]
    [InlineData(true, "xterm", "", true)]
    [InlineData(true, "xterm", "1", false)]
    [InlineData(true, "dumb", null, false)]
    [InlineData(true, null, null, false)]
    [InlineData(false, "xterm", null, false)]
    public void Colour_is_for_terminals_whose_owner_wants_it(bool isTerminal, string? term, string? noColour, bool expected)
    {
        var environment = new Dictionary<string, string>();
        if (term is not null)
            environment["TERM"] = term;
        if (noColour is not null)
            environment["NO_COLOR"] = noColour;

        Assert.Equal(expected, DoctorReport.MayColour(new(TextWriter.Null, TextWriter.Null, environment, ErrorIsTerminal: isTerminal, CancellationToken.None), isTerminal));
    }

    [Theory]
    [InlineData(FindingLevel.Ok, 0)]
    [InlineData(FindingLevel.LeftOut, 0)]
    [InlineData(FindingLevel.Warning, 0)]
    [InlineData(FindingLevel.Problem, 1)]
    internal void Only_problems_make_the_exit_code_1(FindingLevel level, int expected)
    {
        using var output = new StringWriter();
        var report = new DoctorReport(output, asJson: false, hasColour: true);
        report.Add(new(FindingLevel.Ok, "first", "fine"));
        report.Add(new(level, "second", "so"));
        report.End();

        Assert.Equal(expected, report.ExitCode);
        Assert.Contains("\e[32mok      \e[0m  first", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_look_that_hangs_is_a_problem_and_the_next_one_is_taken()
    {
        using var never = new ManualResetEventSlim();
        var told = new List<Finding>();
        var examination = new Examination(new(TextWriter.Null, TextWriter.Null, new Dictionary<string, string>(), ErrorIsTerminal: false, CancellationToken.None), TimeProvider.System, told.Add);

        examination.Look("a", TimeSpan.FromMilliseconds(1), "mount it", _ =>
        {
            never.Wait(CancellationToken.None);
            return [];
        });
        examination.Look("b", TimeSpan.FromSeconds(60), "", _ => throw new InvalidOperationException("odd"));
        examination.Look("c", TimeSpan.FromSeconds(60), "", _ => [new(FindingLevel.Ok, "c", "fine")]);
        never.Set();

        Assert.Equal([new(FindingLevel.Problem, "a", "did not answer within 0 s", "mount it"), new(FindingLevel.Problem, "b", "could not be looked at: odd"), new(FindingLevel.Ok, "c", "fine")], told);
    }

    [Fact]
    public void Who_interrupts_it_sees_no_further_looks()
    {
        using var stop = new CancellationTokenSource();
        var examination = new Examination(new(TextWriter.Null, TextWriter.Null, new Dictionary<string, string>(), ErrorIsTerminal: false, stop.Token), TimeProvider.System, _ => Assert.Fail("told"));
        stop.Cancel();

        Assert.Throws<OperationCanceledException>(() => { examination.Look("a", TimeSpan.FromSeconds(60), "", _ => []); });
    }

    [Fact]
    public async Task Settings_that_serve_refuses_are_wrong_usage() => Assert.Equal(ExitCode.Usage, (await CommandRun.OfAsync("doctor", "--port", "x")).ExitCode);
}
