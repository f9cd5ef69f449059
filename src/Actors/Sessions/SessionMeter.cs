using System.Diagnostics;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What one session adds to the collector's metrics: once per batch, what has changed since the one before.</summary>
/// <param name="metrics">What it adds to.</param>
/// <param name="session">The session.</param>
/// <param name="time">The clock that the loop's time is read from.</param>
internal sealed class SessionMeter(CollectorMetrics metrics, DumpSession session, TimeProvider time)
{
    private const long NoBurst = -1;

    private readonly long _ticksPerUs = time.TimestampFrequency / 1_000_000;
    private SessionCounters _counted = session.Counters;
    private ulong _writtenBytes = session.CoveredBytes;
    private ulong _ackedBytes = session.CoveredBytes;
    private long _drops;
    private long _heldAcks = session.HeldAcks;
    private long _burstFromUs = NoBurst;

    /// <summary>Packets came that wait for the dump's files, or for a batch before them.</summary>
    public void OnStaged(long nowUs)
    {
        if (_burstFromUs == NoBurst)
            _burstFromUs = nowUs;
    }

    /// <summary>A batch was taken.</summary>
    /// <param name="used">Messages of it that were used.</param>
    /// <param name="nowUs">When it came.</param>
    public void OnTaken(int used, long nowUs)
    {
        var counted = session.Counters;
        long payloadBytes = counted.PayloadBytes - _counted.PayloadBytes;
        metrics.AddBatch(used, payloadBytes, counted.Retransmissions - _counted.Retransmissions);
        _counted.PayloadBytes = counted.PayloadBytes;
        _counted.Retransmissions = counted.Retransmissions;
        if (_burstFromUs == NoBurst && payloadBytes > 0)
            _burstFromUs = nowUs;
    }

    /// <summary>What was taken is stored.</summary>
    public void OnStored()
    {
        ulong covered = session.CoveredBytes;
        if (covered > _writtenBytes)
            metrics.AddWritten((long)(covered - _writtenBytes));
        _writtenBytes = covered;
    }

    /// <summary>Acks have left.</summary>
    /// <remarks>Reads the clock, because the loop's time is that of the round's begin.</remarks>
    /// <param name="acks">How many.</param>
    /// <param name="span">The dump's, or null.</param>
    public void OnAcksSent(int acks, Activity? span)
    {
        ulong acked = session.HoldsAcks ? _ackedBytes : session.CoveredBytes;
        metrics.AddAcks(acks, (long)(acked - _ackedBytes));
        _ackedBytes = acked;
        if (_burstFromUs == NoBurst)
            return;
        MeasuredSpan.Current = span;
        metrics.BurstAck.Record((time.GetTimestamp() / _ticksPerUs - _burstFromUs) * 1e-6);
        MeasuredSpan.Current = null;
        _burstFromUs = NoBurst;
    }

    /// <summary>The session has looked at its time: bursts may have gone quiet in part.</summary>
    public void OnTick()
    {
        long quiet = session.Counters.QuietBursts;
        if (quiet == _counted.QuietBursts)
            return;
        metrics.AddQuietBursts(quiet - _counted.QuietBursts, session.HeldAcks - _heldAcks);
        (_counted.QuietBursts, _heldAcks) = (quiet, session.HeldAcks);
    }

    /// <summary>The kernel has dropped so many datagrams at the session's own socket since that was opened.</summary>
    public void OnDropped(long drops)
    {
        if (drops > _drops)
            metrics.AddSessionDrops(drops - _drops);
        _drops = drops;
    }
}
