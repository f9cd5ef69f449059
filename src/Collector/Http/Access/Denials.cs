using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Counts who is denied something, and tells of it at a bounded rate: whoever tries on and on fills neither the log nor the disk.</summary>
internal sealed class Denials(CollectorMetrics metrics, AuditLog? audit, TimeProvider time, ILogger log)
{
    /// <summary>Lines of the audit log in a minute.</summary>
    private const int LinesPerInterval = 60;

    private static readonly TimeSpan s_interval = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_logInterval = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly Dictionary<DeniedReason, long> _loggedAt = [];
    private long _intervalBegan = time.GetTimestamp();
    private int _lines;
    private long _notListed;

    public void Add(HttpContext context, Denial denial)
    {
        long count = metrics.AddDenied(denial.Reason);
        bool isLogged, isListed;
        long notListed = 0;
        lock (_gate)
        {
            long now = time.GetTimestamp();
            // Each browser begins without a token: that is nothing to tell an operator.
            isLogged = denial.Reason != DeniedReason.MissingToken && (!_loggedAt.TryGetValue(denial.Reason, out long loggedAt) || time.GetElapsedTime(loggedAt, now) >= s_logInterval);
            if (isLogged)
                _loggedAt[denial.Reason] = now;
            if (time.GetElapsedTime(_intervalBegan, now) >= s_interval)
                (_intervalBegan, _lines) = (now, 0);
            isListed = _lines < LinesPerInterval;
            if (isListed)
                (_lines, notListed, _notListed) = (_lines + 1, _notListed, 0);
            else
                _notListed++;
        }

        var entry = AuditEntry.Of("denied", context) with { Status = denial.Status, Result = denial.Words, NotListed = notListed };
        if (isLogged)
            CollectorLog.Denied(log, entry.Address ?? "?", entry.Who, entry.Method, Printable(entry.Path), denial.Reason, count);
        if (isListed)
            audit?.Post(entry);
    }

    private static string Printable(string path) => Protocol.PrintableText.From(System.Text.Encoding.UTF8.GetBytes(path));
}
