using System.Diagnostics;
using NetdumpCollector.Protocol;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>The spans of one dump in one process: dump over herald, transfer, kdh, verify and finish. A session has it, then the commit of its dump; never both.</summary>
/// <remarks>
/// Spans are made when what they tell of is over or well under way, with the times at which it happened: what listens may have begun later than the dump did. Nothing here throws, and nothing waits.
/// Names of attributes follow OpenTelemetry's semantic conventions where those have one; what is a dump's own begins with <c>netdump.</c>.
/// </remarks>
public sealed class DumpTrace
{
    /// <summary>A silence of the client in mid-dump that is longer is a stall: a kernel repeats after so long what was not acked. In microseconds.</summary>
    public const long StallUs = 1_000_000;

    /// <summary>Stalls that have events of their own; more are counted.</summary>
    private const int MaxStallEvents = 40;

    private readonly TracedDump _dump;
    private readonly DateTimeOffset _beganAt;
    private readonly long _beganUs;
    private readonly TimeProvider _time;
    private readonly Activity _root;
    private readonly bool _isResumed;
    private bool _isConfirmed;
    private Activity? _transfer;
    private ProgressMarks _marks;
    private ulong _coveredBytes;
    private long _coveredUs;
    private int _stalls;
    private long _stalledUs;
    private Activity? _finish;
    private int _failures;

    private DumpTrace(Activity root, TracedDump dump, TimeProvider time)
    {
        (_root, _dump, _time) = (root, dump, time);
        _beganAt = time.GetUtcNow();
        _beganUs = NowUs;
        _coveredUs = dump.DataUs;
        _isResumed = dump.ResumedBytes is not null;
        _coveredBytes = dump.ResumedBytes ?? 0;
        _marks = new(_coveredBytes);
    }

    /// <summary>The span that stands for the whole dump.</summary>
    public Activity Root => _root;

    /// <summary>The span of the commit, from <see cref="Arrived"/> to <see cref="End"/>; else null.</summary>
    public Activity? Finishing => _finish;

    private long NowUs => _time.GetTimestamp() / (_time.TimestampFrequency / 1_000_000);

    /// <summary>Begins the trace of a dump; null where nobody listens or the sampler does not want it.</summary>
    /// <param name="dump">The dump.</param>
    /// <param name="time">The clock of all times that are given in microseconds.</param>
    public static DumpTrace? Begin(TracedDump dump, TimeProvider time)
    {
        var root = SpanSource.StartRoot("dump", ActivityKind.Server, dump.Id, dump.StartedAt,
            new("netdump.dump.id", dump.Id),
            new("client.address", dump.Client.ToString()),
            new("server.address", dump.LocalAddress.ToString()),
            new("server.port", (int)dump.LocalPort),
            new("network.transport", "udp"),
            new("network.protocol.name", "netdump"),
            new("netdump.endpoint", dump.Endpoint));
        return root is null ? null : new(root, dump, time);
    }

    /// <summary>It is a dump: something of it has been promised. Of what turns out to be strays or duplicates of another's packets nothing is told.</summary>
    public void Confirm()
    {
        if (_isConfirmed)
            return;
        _isConfirmed = true;
        var dataAt = At(_dump.DataUs);
        if (_isResumed)
            _root.AddEvent(new("resumed", dataAt, [new("netdump.transfer.bytes", (long)_coveredBytes)]));
        else
            Stop(Child("herald", _dump.StartedAt), dataAt);
        _transfer = Child("transfer", dataAt);
        _transfer?.AddEvent(new(_isResumed ? "resumed" : "first byte", dataAt));
    }

    /// <summary>Packets came: a silence before them may have been a stall.</summary>
    /// <param name="lastUs">When the packet before them came.</param>
    /// <param name="nowUs">When they came.</param>
    public void OnPackets(long lastUs, long nowUs)
    {
        if (nowUs - lastUs > StallUs && lastUs >= _dump.DataUs)
            AddStall(lastUs, nowUs);
    }

    /// <summary>What came is stored.</summary>
    /// <param name="coveredBytes">Distinct bytes of the dump that are.</param>
    /// <param name="totalBytes">Bytes of the whole dump where they are known or can be estimated.</param>
    /// <param name="nowUs">When it came.</param>
    public void OnStored(ulong coveredBytes, ulong? totalBytes, long nowUs)
    {
        if (coveredBytes != _coveredBytes)
            (_coveredBytes, _coveredUs) = (coveredBytes, nowUs);
        if (_marks.Passes(coveredBytes, totalBytes))
            AddProgress(coveredBytes, totalBytes, nowUs);
    }

    /// <summary>The header has come and is written down.</summary>
    /// <param name="header">As it came.</param>
    /// <param name="fromUs">When it came.</param>
    public void OnHeader(KernelDumpHeader header, long fromUs)
    {
        Confirm();
        if (Child("kdh", At(fromUs)) is not { } kdh)
            return;
        kdh.SetTag("netdump.kdh.valid", header.IsValid);
        if (header.IsValid)
        {
            kdh.SetTag("netdump.panic", header.PanicString);
            kdh.SetTag("netdump.kdh.host", header.Hostname);
            kdh.SetTag("netdump.kdh.version", header.VersionString);
            kdh.SetTag("netdump.kdh.architecture", header.Architecture);
            kdh.SetTag("netdump.kdh.length", (long)header.DumpLength);
            kdh.SetTag("netdump.kdh.compression", header.Compression.ToString().ToLowerInvariant());
            kdh.SetTag("netdump.kdh.encrypted", header.IsEncrypted);
        }
        else
        {
            Fail(kdh, "invalidHeader", "magic, version, parity or length of the kernel dump header is wrong");
        }

        Stop(kdh, At(NowUs));
    }

    /// <summary>All of the dump that will come has come, and is about to be made durable.</summary>
    /// <param name="summary">What it came to.</param>
    /// <param name="lastPacketUs">When its last packet came.</param>
    /// <param name="nowUs">When that was looked at; FINISHED, or the time at which the client counts as dead.</param>
    public void Arrived(DumpSummary summary, long lastPacketUs, long nowUs)
    {
        Confirm();
        bool isFinished = summary.Reason is EndReason.Finished or EndReason.SilentAfterHeader;
        if (_transfer is { } transfer)
        {
            if (!isFinished && nowUs - lastPacketUs > StallUs)
                AddStall(lastPacketUs, toUs: null);
            var counters = summary.Counters;
            transfer.SetTag("netdump.transfer.packets", counters.Packets);
            transfer.SetTag("netdump.transfer.received_bytes", counters.PayloadBytes);
            transfer.SetTag("netdump.transfer.retransmissions", counters.Retransmissions);
            transfer.SetTag("netdump.transfer.bursts", counters.Bursts);
            transfer.SetTag("netdump.transfer.quiet_bursts", counters.QuietBursts);
            transfer.SetTag("netdump.transfer.acks", counters.Acks);
            transfer.SetTag("netdump.transfer.rejected", counters.Rejected);
            transfer.SetTag("netdump.transfer.relocated", summary.Relocated);
            if (!isFinished)
                Fail(transfer, Word(summary.Reason), summary.Error ?? "the client did not send its dump to the end");
            EndTransfer(isFinished ? _coveredUs : nowUs);
        }

        if (Child("verify", At(nowUs)) is { } verify)
        {
            Describe(verify, summary.Status, summary.Reason, summary.MissingBytes, summary.Error);
            verify.SetTag("netdump.dump.missing_ranges", summary.MissingRanges);
            verify.SetTag("netdump.dump.damaged_ranges", summary.Damaged.Count);
            Stop(verify, At(NowUs));
        }

        _finish = Child("finish", At(NowUs));
    }

    /// <summary>An attempt to make the dump durable failed; others may follow.</summary>
    public void OnCommitFailed(string error)
    {
        _failures++;
        _finish?.AddEvent(new("attempt failed", At(NowUs), [new("exception.message", error)]));
    }

    /// <summary>The dump lies under its final names.</summary>
    /// <param name="ended">What it came to.</param>
    /// <param name="error">The failure in words, when there was one.</param>
    public void End(DumpEnded ended, string? error)
    {
        _root.SetTag("netdump.dump.host", ended.Host);
        _root.SetTag("netdump.dump.bytes", (long)ended.Bytes);
        _root.SetTag("netdump.dump.file", ended.File);
        if (ended.Panic is not null)
            _root.SetTag("netdump.panic", ended.Panic);
        Describe(_root, ended.Status, ended.Reason, ended.MissingBytes, error);
        _finish?.SetTag("netdump.dump.file", ended.File);
        if (_finish is not null && ended.Reason == EndReason.WriteError && _failures > 0)
            Fail(_finish, Word(ended.Reason), error ?? "");
        EndAll();
    }

    /// <summary>The dump could not be made durable; the next process tries again.</summary>
    public void EndUncommitted(string error)
    {
        if (_finish is not null)
            Fail(_finish, "uncommitted", error);
        _root.SetTag("netdump.dump.status", "uncommitted");
        Fail(_root, "uncommitted", error);
        EndAll();
    }

    /// <summary>This process has no more to do with the dump, which was not at its end: another one may go on with it, in the same trace.</summary>
    public void Interrupt()
    {
        if (!_isConfirmed)
            return;
        foreach (var span in (ReadOnlySpan<Activity?>)[_transfer, _root])
            span?.AddEvent(new("interrupted", At(NowUs), [new("netdump.transfer.bytes", (long)_coveredBytes)]));
        EndTransfer(NowUs);
        _root.SetTag("netdump.dump.status", "interrupted");
        EndAll();
    }

    private static string Word<T>(T value) where T : struct, Enum
    {
        string word = value.ToString();
        return char.ToLowerInvariant(word[0]) + word[1..];
    }

    private static void Fail(Activity span, string type, string description)
    {
        span.SetTag("error.type", type);
        span.SetStatus(ActivityStatusCode.Error, description);
    }

    private static void Describe(Activity span, DumpStatus status, EndReason reason, ulong missingBytes, string? error)
    {
        span.SetTag("netdump.dump.status", Word(status));
        span.SetTag("netdump.dump.end_reason", Word(reason));
        span.SetTag("netdump.dump.missing_bytes", (long)missingBytes);
        // A dump that is cut by policy, or has no header and is whole, is what was asked for.
        if (status is not (DumpStatus.Incomplete or DumpStatus.Damaged))
            return;
        string type = reason == EndReason.Finished ? Word(status) : Word(reason);
        Fail(span, type, error ?? (status == DumpStatus.Damaged ? "a repeated packet brought other bytes" : $"{Word(reason)}, {missingBytes} bytes known to be missing"));
    }

    private static void Stop(Activity? span, DateTimeOffset at)
    {
        if (span is not null)
            SpanSource.Stop(span, at);
    }

    private Activity? Child(string name, DateTimeOffset at) => SpanSource.StartChild(name, _root.Context, at);

    /// <summary>The machine's clock at a moment of the monotonic one: somebody who sets it in mid-dump must not bend the trace.</summary>
    private DateTimeOffset At(long us) => _beganAt + TimeSpan.FromMicroseconds(us - _beganUs);

    private void AddStall(long fromUs, long? toUs)
    {
        _stalledUs += (toUs ?? NowUs) - fromUs;
        if (_stalls++ >= MaxStallEvents)
            return;
        _transfer?.AddEvent(new("stall", At(fromUs), [new("netdump.transfer.bytes", (long)_coveredBytes)]));
        if (toUs is long us)
            _transfer?.AddEvent(new("stall ended", At(us), [new("netdump.stall.duration", (us - fromUs) * 1e-6)]));
    }

    private void AddProgress(ulong coveredBytes, ulong? totalBytes, long nowUs)
    {
        ActivityTagsCollection attributes = new([new("netdump.transfer.bytes", (long)coveredBytes)]);
        if (totalBytes is > 0)
            attributes.Add("netdump.transfer.percent", Math.Min(100, (int)(coveredBytes * 100.0 / totalBytes)));
        _transfer?.AddEvent(new("progress", At(nowUs), attributes));
    }

    private void EndTransfer(long us)
    {
        if (_transfer is not { IsStopped: false } transfer)
            return;
        transfer.SetTag("netdump.transfer.bytes", (long)_coveredBytes);
        transfer.SetTag("netdump.transfer.stalls", _stalls);
        transfer.SetTag("netdump.transfer.stall_duration", _stalledUs * 1e-6);
        Stop(transfer, At(us));
    }

    private void EndAll()
    {
        var now = At(NowUs);
        _finish?.SetTag("netdump.commit.attempts", _failures + 1);
        Stop(_finish, now);
        _finish = null;
        _root.SetTag("netdump.dump.resumed", _isResumed);
        Stop(_root, now);
    }
}
