using System.Diagnostics.Metrics;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry;

/// <summary>Every instrument of the collector: what is counted since its start, and what is measured.</summary>
/// <remarks>
/// What is recorded while a dump arrives is added once per batch, burst or write, by any thread and without allocating; metrics are made of it when somebody reads them.
/// Instruments are named and have units as OpenTelemetry's conventions want; <see cref="Prometheus.MetricName"/> derives the names that Prometheus sees.
/// </remarks>
public sealed partial class CollectorMetrics : IDisposable
{
    private readonly CountsBy<RejectReason> _rejected = new("reason");
    private readonly CountsBy<HeraldResult> _heralds = new("result");
    private readonly CountsBy<DumpOutcome> _ended = new("outcome");
    private readonly CountsBy<SeekResult> _seeks = new("result");
    private readonly CountsBy<ScriptOutcome> _scripts = new("result");
    private readonly CountsBy<WebhookOutcome> _webhooks = new("result");
    private readonly CountsBy<DeniedReason> _denied = new("reason");
    private readonly RoomForecast _forecast;
    private long _packets;
    private long _payloadBytes;
    private long _repeated;
    private long _written;
    private long _acks;
    private long _acked;
    private long _heldAcks;
    private long _quietBursts;
    private long _receiving;
    private long _missing;
    private long _relocated;
    private long _resumed;
    private long _takenOver;
    private long _continued;
    private long _handedOver;
    private long _deleted;
    private long _deletedBytes;
    private long _shortOfRoom;
    private long _sessionDrops;
    private Func<(long FreeBytes, long TotalBytes, double SecondsToFull)?>? _storage;
    private long _otlpFailures;

    /// <summary>Messages that were used.</summary>
    public long Packets => Interlocked.Read(ref _packets);

    /// <summary>VMCORE payload bytes received, repeats included.</summary>
    public long PayloadBytes => Interlocked.Read(ref _payloadBytes);

    /// <summary>Acks sent.</summary>
    public long Acks => Interlocked.Read(ref _acks);

    /// <summary>Dump bytes stored whose bursts were acked whole.</summary>
    public long AckedBytes => Interlocked.Read(ref _acked);

    /// <summary>Heralds received, repeats included.</summary>
    public long Heralds => _heralds.Sum;

    /// <summary>Dumps arriving now.</summary>
    public long Receiving => Interlocked.Read(ref _receiving);

    /// <summary>Dumps that ended complete.</summary>
    public long Complete => _ended[DumpOutcome.Complete];

    /// <summary>Dumps that ended in any other way.</summary>
    public long NotComplete => _ended.Sum - Complete;

    /// <summary>Sessions of other nodes that went on here.</summary>
    public long SessionsTakenOver => Interlocked.Read(ref _takenOver);

    /// <summary>Sessions of other nodes that went on here as dumps of their own.</summary>
    public long SessionsContinued => Interlocked.Read(ref _continued);

    /// <summary>Running dumps that went on with another owner.</summary>
    public long DumpsHandedOver => Interlocked.Read(ref _handedOver);

    /// <summary>Dumps that retention deleted.</summary>
    public long Deleted => Interlocked.Read(ref _deleted);

    /// <summary>Bytes that those had.</summary>
    public long DeletedBytes => Interlocked.Read(ref _deletedBytes);

    /// <summary>Times that a dump could not begin as it should for lack of room (--min-free); a waiting client tries about once a second.</summary>
    public long ShortOfRoom => Interlocked.Read(ref _shortOfRoom);

    /// <summary>Datagrams refused for <paramref name="reason"/>.</summary>
    public long Rejected(RejectReason reason) => _rejected[reason];

    /// <summary>Heralds that came to <paramref name="result"/>.</summary>
    public long HeraldsBy(HeraldResult result) => _heralds[result];

    /// <summary>Events that were posted to the webhook and came to <paramref name="outcome"/>.</summary>
    public long WebhookEvents(WebhookOutcome outcome) => _webhooks[outcome];

    /// <summary>Counts messages of one batch.</summary>
    /// <param name="packets">Messages that were used.</param>
    /// <param name="payloadBytes">Dump bytes they brought.</param>
    /// <param name="repeated">How many of them repeated an earlier one.</param>
    public void AddBatch(long packets, long payloadBytes, long repeated)
    {
        Interlocked.Add(ref _packets, packets);
        Interlocked.Add(ref _payloadBytes, payloadBytes);
        if (repeated > 0)
            Interlocked.Add(ref _repeated, repeated);
    }

    /// <summary>Counts what a batch has stored that was not stored before.</summary>
    public void AddWritten(long bytes) => Interlocked.Add(ref _written, bytes);

    /// <summary>Counts acks that were sent, and the dump bytes whose bursts they ended.</summary>
    public void AddAcks(long acks, long ackedBytes)
    {
        Interlocked.Add(ref _acks, acks);
        if (ackedBytes > 0)
            Interlocked.Add(ref _acked, ackedBytes);
    }

    /// <summary>Counts bursts that their client had to send again in part, and stored packets of them whose acks waited for others that share their bit.</summary>
    public void AddQuietBursts(long bursts, long heldAcks)
    {
        Interlocked.Add(ref _quietBursts, bursts);
        Interlocked.Add(ref _heldAcks, heldAcks);
    }

    public void AddHerald(HeraldResult result) => _heralds.Add(result);

    /// <summary>Counts a flow that was sought at other nodes.</summary>
    public void AddSeek(SeekResult result) => _seeks.Add(result);

    /// <summary>Flows that were sought at other nodes and came to <paramref name="result"/>.</summary>
    public long SeeksBy(SeekResult result) => _seeks[result];

    /// <summary>Counts a refused datagram and returns how many there are now of its kind.</summary>
    public long AddRejected(RejectReason reason) => _rejected.Add(reason);

    /// <summary>Counts datagrams that the kernel dropped at a session's socket.</summary>
    public void AddSessionDrops(long datagrams) => Interlocked.Add(ref _sessionDrops, datagrams);

    /// <summary>Notes how much has been written by now, so that the forecast of when the disk is full does not depend on how often metrics are read; called about once a second.</summary>
    public void NoteProgress() => _forecast.Note(Interlocked.Read(ref _written));

    /// <summary>A session of an earlier process goes on.</summary>
    public void SessionResumed() => Interlocked.Increment(ref _resumed);

    /// <summary>A session that another node had goes on here; counted by <see cref="SessionResumed"/> as well.</summary>
    public void SessionTakenOver() => Interlocked.Increment(ref _takenOver);

    /// <summary>A session that another node had goes on here, with nothing of what that node received.</summary>
    public void SessionContinued() => Interlocked.Increment(ref _continued);

    /// <summary>A running dump goes on with another owner.</summary>
    public void DumpHandedOver()
    {
        Interlocked.Increment(ref _handedOver);
        Interlocked.Decrement(ref _receiving);
    }

    public void ScriptEnded(ScriptOutcome outcome) => _scripts.Add(outcome);

    public void WebhookEnded(WebhookOutcome outcome) => _webhooks.Add(outcome);

    /// <summary>Counts a request over HTTP that was denied and returns how many there are now of its kind.</summary>
    public long AddDenied(DeniedReason reason) => _denied.Add(reason);

    /// <summary>An OTLP endpoint did not take what was exported.</summary>
    public void OtlpFailed() => Interlocked.Increment(ref _otlpFailures);

    public void DumpDeleted(long bytes)
    {
        Interlocked.Increment(ref _deleted);
        Interlocked.Add(ref _deletedBytes, bytes);
    }

    public void RanShortOfRoom() => Interlocked.Increment(ref _shortOfRoom);

    public void DumpStarted() => Interlocked.Increment(ref _receiving);

    /// <summary>All of a dump that will come has come; its commit follows.</summary>
    public void DumpArrived() => Interlocked.Decrement(ref _receiving);

    /// <summary>What had started turned out to be no dump.</summary>
    public void DumpDiscarded() => Interlocked.Decrement(ref _receiving);

    /// <summary>A dump that ended lies under its final names, as its manifest tells it.</summary>
    /// <param name="status">What it is worth, which its commit may have changed.</param>
    /// <param name="coveredBytes">Bytes stored.</param>
    /// <param name="missingBytes">Bytes known to be missing.</param>
    /// <param name="relocated">Its first burst was moved.</param>
    /// <param name="seconds">From its herald to its end.</param>
    public void DumpEnded(DumpStatus status, ulong coveredBytes, ulong missingBytes, bool relocated, double seconds)
    {
        _ended.Add(OutcomeOf(status));
        Interlocked.Add(ref _missing, (long)Math.Min(missingBytes, long.MaxValue));
        if (relocated)
            Interlocked.Increment(ref _relocated);
        DumpSize.Record(coveredBytes);
        DumpDuration.Record(seconds);
    }

    /// <summary>A dump that ended could not be made durable; the next start tries again.</summary>
    public void DumpNotCommitted() => _ended.Add(DumpOutcome.Uncommitted);

    /// <summary>A dump ended for which there were no files.</summary>
    public void DumpLost()
    {
        _ended.Add(DumpOutcome.Lost);
        Interlocked.Decrement(ref _receiving);
    }

    public void Dispose() => Meter.Dispose();

    private static DumpOutcome OutcomeOf(DumpStatus status) => status switch
    {
        DumpStatus.Complete => DumpOutcome.Complete,
        DumpStatus.Damaged => DumpOutcome.Damaged,
        DumpStatus.Truncated => DumpOutcome.Truncated,
        DumpStatus.Headerless => DumpOutcome.Headerless,
        _ => DumpOutcome.Incomplete,
    };
}

/// <summary>What became of a herald.</summary>
public enum HeraldResult
{
    /// <summary>It opened a session.</summary>
    Opened,

    /// <summary>It opened a second session of a host that has a running dump: a late duplicate, or a new panic.</summary>
    Tentative,

    /// <summary>It repeated one that has a session.</summary>
    Repeated,

    /// <summary>A limit or the operator's lists stood against it.</summary>
    Refused,

    /// <summary>It came while none is answered: at the start, until earlier dumps have their ports back, or while draining.</summary>
    Unanswered,
}

/// <summary>What became of a flow that was to be sought at the nodes of a shared directory, because packets came whose session is not here.</summary>
public enum SeekResult
{
    /// <summary>A dump, or an answered herald: it goes on here.</summary>
    Found,

    /// <summary>No node has anything of it.</summary>
    Nothing,

    /// <summary>The directory did not tell.</summary>
    Failed,

    /// <summary>Too many were being sought; the client's next packet asks again.</summary>
    Refused,
}

/// <summary>How a dump ended.</summary>
/// <remarks>The first five are <see cref="DumpStatus"/>'s.</remarks>
public enum DumpOutcome
{
    Complete,
    Incomplete,
    Damaged,
    Truncated,
    Headerless,

    /// <summary>It could not be made durable: what arrived is a partial file, and the next start tries again.</summary>
    Uncommitted,

    /// <summary>There were no files for it.</summary>
    Lost,
}

/// <summary>Why a request over HTTP was denied.</summary>
public enum DeniedReason
{
    /// <summary>It showed no token where one is needed, as a browser's first one does.</summary>
    MissingToken,

    /// <summary>Nobody has the token that it showed.</summary>
    WrongToken,

    /// <summary>The token's role is too small.</summary>
    SmallRole,

    /// <summary>There is no token file, and so nobody who may.</summary>
    NoTokens,

    /// <summary>It was to change something and showed its token as browsers do.</summary>
    BasicForChange,

    /// <summary>A page of another origin was to change something.</summary>
    ForeignOrigin,

    /// <summary>It asked a loopback address for a host that is not this one.</summary>
    ForeignHost,
}

/// <summary>What became of an event that was to be posted.</summary>
public enum WebhookOutcome
{
    Delivered,

    /// <summary>The receiver refused it, or did not take it in time.</summary>
    GivenUp,
}

/// <summary>How a script ended.</summary>
public enum ScriptOutcome
{
    /// <summary>Exit code 0.</summary>
    Ok,

    /// <summary>Another exit code, or it could not be started.</summary>
    Failed,

    /// <summary>Killed when its time was up.</summary>
    TimedOut,
}
