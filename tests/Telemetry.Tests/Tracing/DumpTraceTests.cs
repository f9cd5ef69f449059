using System.Diagnostics;
using System.Globalization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Telemetry.Events;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Telemetry.Tests.Tracing;

/// <remarks>One at a time with all that listens: whether spans are wanted is asked of the whole process.</remarks>
[Collection("spans")]
public sealed class DumpTraceTests
{
    private const long StartUs = 1_000_000_000;
    private const long DataUs = StartUs + 20_000;

    private static int s_lastDump;

    private readonly string _id = $"dump-{Interlocked.Increment(ref s_lastDump).ToString(CultureInfo.InvariantCulture)}";
    private readonly Clock _clock = new() { NowUs = DataUs + 1000 };

    [Fact]
    public void Nothing_is_made_where_nobody_listens()
    {
        Assert.False(SpanSource.IsWanted);
        Assert.Null(Begin());
        Assert.Null(ScriptTrace.Begin(_id, default, "/bin/true", "success"));
    }

    [Fact]
    public void What_turns_out_to_be_no_dump_leaves_nothing()
    {
        using var spans = new SpanRecorder(_id);
        var trace = DumpTrace.Begin(Dump(resumedBytes: null), _clock)!;
        trace.OnPackets(DataUs, DataUs + 5_000_000);
        trace.Interrupt();

        Assert.Empty(spans.Ended);
    }

    [Fact]
    public void A_dump_that_the_sampler_does_not_want_has_no_trace()
    {
        using var spans = new SpanRecorder(_id, ActivitySamplingResult.PropagationData);
        Assert.Null(Begin());
        Assert.Null(Activity.Current);
    }

    [Fact]
    public void Its_trace_is_known_from_its_id_and_its_spans_have_the_times_of_what_they_tell()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        Assert.Null(Activity.Current);
        trace.OnStored(4096, null, DataUs + 500);
        trace.OnStored(8192, null, DataUs + 700);
        _clock.NowUs = DataUs + 2000;
        trace.OnHeader(Header(8192), DataUs + 1500);
        _clock.NowUs = DataUs + 3000;
        trace.Arrived(Summary(DumpStatus.Complete, EndReason.Finished), DataUs + 2500, DataUs + 2500);
        Assert.Equal("finish", trace.Finishing!.OperationName);
        _clock.NowUs = DataUs + 9000;
        trace.End(Ended(DumpStatus.Complete, EndReason.Finished), error: null);

        Assert.Equal(["herald", "kdh", "transfer", "verify", "finish", "dump"], spans.Ended.Select(span => span.OperationName));
        var root = spans["dump"];
        Assert.Null(root.ParentId);
        Assert.Equal(ActivityKind.Server, root.Kind);
        Assert.All(spans.Ended.Where(span => span != root), span => Assert.Equal(root.SpanId, span.ParentSpanId));
        Assert.Equal((StartUs, DataUs + 9000), Times(root));
        Assert.Equal((StartUs, DataUs), Times(spans["herald"]));
        Assert.Equal((DataUs, DataUs + 700), Times(spans["transfer"]));
        Assert.Equal((DataUs + 1500, DataUs + 2000), Times(spans["kdh"]));
        Assert.Equal((DataUs + 2500, DataUs + 3000), Times(spans["verify"]));
        Assert.Equal((DataUs + 3000, DataUs + 9000), Times(spans["finish"]));
        Assert.All(spans.Ended, span => Assert.Equal(ActivityStatusCode.Unset, span.Status));
        Assert.Equal(_id, root.GetTagItem("netdump.dump.id"));
        Assert.Equal("192.0.2.1", root.GetTagItem("client.address"));
        Assert.Equal("page fault", root.GetTagItem("netdump.panic"));
        Assert.Equal("amd64", spans["kdh"].GetTagItem("netdump.kdh.architecture"));
        Assert.Equal(8192L, spans["transfer"].GetTagItem("netdump.transfer.bytes"));
        Assert.Null(Activity.Current);
    }

    /// <summary>The clock goes back an hour in mid-dump.</summary>
    [Fact]
    public void Spans_do_not_bend_when_somebody_sets_the_clock()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        _clock.Offset = TimeSpan.FromHours(-1);
        _clock.NowUs = DataUs + 3000;
        trace.Arrived(Summary(DumpStatus.Complete, EndReason.Finished), DataUs + 2500, DataUs + 2500);
        trace.End(Ended(DumpStatus.Complete, EndReason.Finished), error: null);

        Assert.Equal((StartUs, DataUs + 3000), Times(spans["dump"]));
    }

    [Fact]
    public void Silences_are_events_with_their_ends_and_the_last_one_has_none()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        // Before the first byte nothing stalls, and a second is what a kernel's timer takes.
        trace.OnPackets(StartUs, DataUs + 2_000_000);
        trace.OnPackets(DataUs + 2_000_000, DataUs + 3_000_000);
        trace.OnPackets(DataUs + 3_000_000, DataUs + 5_500_000);
        trace.Arrived(Summary(DumpStatus.Incomplete, EndReason.ClientTimedOut), DataUs + 5_500_000, _clock.NowUs = DataUs + 9_500_000);
        trace.End(Ended(DumpStatus.Incomplete, EndReason.ClientTimedOut), error: null);

        var transfer = spans["transfer"];
        Assert.Equal(["first byte", "stall", "stall ended", "stall"], transfer.Events.Select(what => what.Name));
        Assert.Equal([DataUs, DataUs + 3_000_000, DataUs + 5_500_000, DataUs + 5_500_000], transfer.Events.Select(what => Us(what.Timestamp)));
        Assert.Equal(2.5, transfer.Events.ElementAt(2).Tags.Single().Value);
        Assert.Equal((DataUs, DataUs + 9_500_000), Times(transfer));
        Assert.Equal(2, transfer.GetTagItem("netdump.transfer.stalls"));
        Assert.Equal(6.5, transfer.GetTagItem("netdump.transfer.stall_duration"));
        foreach (string name in (string[])["transfer", "verify", "dump"])
        {
            Assert.Equal(ActivityStatusCode.Error, spans[name].Status);
            Assert.Equal("clientTimedOut", spans[name].GetTagItem("error.type"));
        }
    }

    [Fact]
    public void A_thousand_stalls_are_counted_and_the_first_ones_told()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        for (long us = DataUs; us < DataUs + 1_000 * 2_000_000L; us += 2_000_000)
            trace.OnPackets(us, us + 2_000_000);
        trace.Interrupt();

        Assert.Equal(1000, spans["transfer"].GetTagItem("netdump.transfer.stalls"));
        Assert.InRange(spans["transfer"].Events.Count(), 10, 100);
    }

    [Fact]
    public void Progress_has_its_share_where_the_length_is_known()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        for (ulong bytes = 0; bytes <= 1000; bytes += 50)
            trace.OnStored(bytes, 1000, DataUs + (long)bytes);
        trace.Interrupt();

        var progress = spans["transfer"].Events.Where(what => what.Name == "progress").ToArray();
        Assert.Equal([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], progress.Select(what => what.Tags.Single(tag => tag.Key == "netdump.transfer.percent").Value));
        Assert.Equal(DataUs + 100, Us(progress[0].Timestamp));
    }

    [Fact]
    public void What_another_process_goes_on_with_is_interrupted_and_resumed_in_one_trace()
    {
        using var spans = new SpanRecorder(_id);
        var first = Begin()!;
        first.OnStored(5000, null, DataUs + 500);
        first.Interrupt();
        var second = Begin(resumedBytes: 5000)!;
        second.Arrived(Summary(DumpStatus.Complete, EndReason.Finished), DataUs + 2500, DataUs + 2500);
        second.End(Ended(DumpStatus.Complete, EndReason.Finished), error: null);

        Activity[] roots = [.. spans.Ended.Where(span => span.OperationName == "dump")];
        Assert.Equal(2, roots.Length);
        Assert.All(roots, root => Assert.Null(root.ParentId));
        Assert.Equal("interrupted", roots[0].GetTagItem("netdump.dump.status"));
        Assert.Equal("complete", roots[1].GetTagItem("netdump.dump.status"));
        Assert.Equal(true, roots[1].GetTagItem("netdump.dump.resumed"));
        Assert.Single(spans.Ended, span => span.OperationName == "herald");
        Assert.Equal("resumed", spans.Ended.Last(span => span.OperationName == "transfer").Events.Single().Name);
    }

    [Fact]
    public void Attempts_to_commit_that_fail_are_events_and_a_commit_that_fails_for_good_is_an_error()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        trace.Arrived(Summary(DumpStatus.Complete, EndReason.Finished), DataUs, DataUs);
        trace.OnCommitFailed("no space");
        trace.OnCommitFailed("no space");
        trace.EndUncommitted("no space");

        var finish = spans["finish"];
        Assert.Equal(2, finish.Events.Count());
        Assert.Equal(3, finish.GetTagItem("netdump.commit.attempts"));
        Assert.Equal((ActivityStatusCode.Error, "no space"), (finish.Status, finish.StatusDescription));
        Assert.Equal("uncommitted", spans["dump"].GetTagItem("netdump.dump.status"));
    }

    [Fact]
    public void A_dump_that_policy_cut_is_no_error_and_a_damaged_one_is()
    {
        using var spans = new SpanRecorder(_id);
        foreach (var status in (DumpStatus[])[DumpStatus.Truncated, DumpStatus.Headerless, DumpStatus.Damaged])
        {
            var trace = Begin()!;
            trace.Arrived(Summary(status, EndReason.Finished), DataUs, DataUs);
            trace.End(Ended(status, EndReason.Finished), error: null);
        }

        Assert.Equal([ActivityStatusCode.Unset, ActivityStatusCode.Unset, ActivityStatusCode.Error], spans.Ended.Where(span => span.OperationName == "dump").Select(span => span.Status));
        Assert.Equal("damaged", spans.Ended[^1].GetTagItem("error.type"));
    }

    [Fact]
    public void A_script_joins_its_dump_and_where_another_process_had_the_dump_its_trace()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        var at = _clock.GetUtcNow();
        ScriptTrace.End(ScriptTrace.Begin(_id, trace.Root.Context, "/bin/x", "success")!, ScriptOutcome.Ok, 0, "exit code 0", at, at);
        ScriptTrace.End(ScriptTrace.Begin(_id, default, "/bin/x", "success")!, ScriptOutcome.TimedOut, null, "killed after 3 s", at, at);
        trace.Interrupt();

        Activity[] scripts = [.. spans.Ended.Where(span => span.OperationName == "script")];
        Assert.Equal(trace.Root.SpanId, scripts[0].ParentSpanId);
        Assert.Equal(0, scripts[0].GetTagItem("process.exit.code"));
        Assert.Null(scripts[1].ParentId);
        Assert.Equal("timeout", scripts[1].GetTagItem("error.type"));
        Assert.Null(Activity.Current);
    }

    [Fact]
    public void A_listener_that_throws_costs_the_span_and_nothing_else()
    {
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == SpanSource.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = _ => throw new InvalidOperationException("no"),
        };
        ActivitySource.AddActivityListener(listener);

        var trace = Begin()!;
        trace.Arrived(Summary(DumpStatus.Complete, EndReason.Finished), DataUs, DataUs);
        trace.End(Ended(DumpStatus.Complete, EndReason.Finished), error: null);

        Assert.Null(Activity.Current);
    }

    [Fact]
    public void Batches_that_pass_no_mark_allocate_nothing()
    {
        using var spans = new SpanRecorder(_id);
        var trace = Begin()!;
        ulong bytes = 0;
        NoAllocation.In(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                trace.OnPackets(DataUs + (i * 1000), DataUs + ((i + 1) * 1000));
                trace.OnStored(bytes += 1448, null, DataUs + ((i + 1) * 1000));
            }
        });
        trace.Interrupt();
    }

    private DumpTrace? Begin(ulong? resumedBytes = null)
    {
        var trace = DumpTrace.Begin(Dump(resumedBytes), _clock);
        trace?.Confirm();
        return trace;
    }

    private TracedDump Dump(ulong? resumedBytes) => new()
    {
        Id = _id,
        Client = new(0xC0000201),
        LocalAddress = new(0xC0000202),
        LocalPort = 20100,
        Endpoint = "ephemeral",
        StartedAt = Clock.At(StartUs),
        DataUs = DataUs,
        ResumedBytes = resumedBytes,
    };

    private static DumpSummary Summary(DumpStatus status, EndReason reason) => DumpSummary.Unknown(reason, error: null) with { Status = status };

    private DumpEnded Ended(DumpStatus status, EndReason reason) => new(_clock.GetUtcNow(), _id, new(0xC0000201), "web1", status, reason, 8192, 0, "page fault", "vmcore.web1.0", 0.5);

    private static KernelDumpHeader Header(ulong bytes) =>
        KernelDumpHeader.Read(KernelDumpHeader.Create("amd64", bytes, DateTimeOffset.UnixEpoch, keySize: 0, blockSize: 512, DumpCompression.None, "web1", "FreeBSD", "page fault"))!;

    private static (long FromUs, long ToUs) Times(Activity span) => (Us(span.StartTimeUtc), Us(span.StartTimeUtc + span.Duration));

    private static long Us(DateTimeOffset at) => (at - Clock.At(0)).Ticks / TimeSpan.TicksPerMicrosecond;

    private sealed class Clock : TimeProvider
    {
        public long NowUs { get; set; }

        public TimeSpan Offset { get; set; }

        public override long TimestampFrequency => 1_000_000;

        public static DateTimeOffset At(long us) => new DateTimeOffset(2026, 11, 21, 0, 0, 0, TimeSpan.Zero) + TimeSpan.FromMicroseconds(us);

        public override long GetTimestamp() => NowUs;

        public override DateTimeOffset GetUtcNow() => At(NowUs) + Offset;
    }
}
