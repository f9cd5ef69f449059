using Microsoft.Extensions.Logging;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry;

/// <summary>Counts refused datagrams and logs them at a bounded rate: one line per reason and interval, however many there are.</summary>
public sealed partial class RejectLog(CollectorMetrics metrics, ILogger logger)
{
    /// <summary>Time between two lines about the same reason, in microseconds.</summary>
    public const long IntervalUs = 10_000_000;

    private readonly long[] _nextLineUs = new long[Enum.GetValues<RejectReason>().Length];

    public void Add(RejectReason reason, Ipv4 source, long nowUs)
    {
        long count = metrics.AddRejected(reason);
        ref long next = ref _nextLineUs[(int)reason];
        if (nowUs < Volatile.Read(ref next))
            return;

        Volatile.Write(ref next, nowUs + IntervalUs);
        Log.Rejected(logger, source, reason, count);
    }

    private static partial class Log
    {
        [LoggerMessage(1100, LogLevel.Warning, "Ignored a packet from {Source}: {Reason} ({Count} so far)")]
        public static partial void Rejected(ILogger logger, Ipv4 source, RejectReason reason, long count);
    }
}
