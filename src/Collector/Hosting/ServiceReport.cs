using System.Globalization;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Tells the service manager that the server is ready, how it gets on, that it ends; and, again and again, that it lives.</summary>
/// <remarks>
/// The sign of life leaves only after every event loop has done a piece of work since the last one, so a loop that is stuck for good ends in the manager's watchdog, and in a restart that
/// continues the running dumps. Signs are half of the watchdog's time apart: a loop may take the other half to answer.
/// Source: sd_notify(3), sd_watchdog_enabled(3).
/// </remarks>
internal sealed class ServiceReport : IDisposable
{
    private const string WatchdogTime = "WATCHDOG_USEC";
    private const string WatchdogProcess = "WATCHDOG_PID";
    private static readonly TimeSpan s_unwatchedInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    private readonly NotifySocket _socket;
    private readonly Pulse[] _pulses;
    private readonly CollectorMetrics _metrics;
    private readonly ILogger _log;
    private readonly TimeSpan _interval;
    private readonly CancellationTokenSource _ended = new();
    private readonly Thread _thread;
    private volatile bool _isStopping;

    private ServiceReport(NotifySocket socket, IReadOnlyDictionary<string, string> environment, IEnumerable<IEventLoop> loops, CollectorMetrics metrics, ILogger log)
    {
        _socket = socket;
        _pulses = [.. loops.Select(loop => new Pulse(loop))];
        _metrics = metrics;
        _log = log;
        _interval = IntervalOf(environment);
        _thread = new(Run) { Name = "service-report", IsBackground = true };
    }

    /// <summary>Reports the server as ready and starts to report on it; null where no service manager wants to know.</summary>
    /// <param name="environment">All environment variables.</param>
    /// <param name="loops">The loops that must make progress; they end after the report.</param>
    /// <param name="metrics">What the status line tells of.</param>
    /// <param name="log">Told of a loop that does not answer.</param>
    public static ServiceReport? Start(IReadOnlyDictionary<string, string> environment, IEnumerable<IEventLoop> loops, CollectorMetrics metrics, ILogger log)
    {
        if (NotifySocket.Open(environment) is not { } socket)
            return null;

        var report = new ServiceReport(socket, environment, loops, metrics, log);
        socket.Send($"READY=1\n{report.Status()}");
        report._thread.Start();
        return report;
    }

    /// <summary>Reports that the server ends, and how long that may take, whatever the manager's own limit is.</summary>
    public void Stopping(TimeSpan limit)
    {
        _isStopping = true;
        _socket.Send(string.Create(CultureInfo.InvariantCulture, $"STOPPING=1\nEXTEND_TIMEOUT_USEC={(long)limit.TotalMicroseconds}\n{Status()}"));
    }

    public void Dispose()
    {
        _ended.Cancel();
        _thread.Join();
        _socket.Dispose();
        _ended.Dispose();
    }

    /// <summary>Half of the time after which the manager takes this process for dead.</summary>
    private static TimeSpan IntervalOf(IReadOnlyDictionary<string, string> environment)
    {
        bool isMine = !environment.TryGetValue(WatchdogProcess, out string? process) || process == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return isMine && environment.TryGetValue(WatchdogTime, out string? time)
            && uint.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out uint timeUs) && timeUs > 0
            ? TimeSpan.FromMicroseconds(timeUs / 2)
            : s_unwatchedInterval;
    }

    private void Run()
    {
        while (AwaitLoops())
        {
            _socket.Send($"WATCHDOG=1\n{Status()}");
            if (_ended.Token.WaitHandle.WaitOne(_interval))
                return;
        }
    }

    /// <summary>Returns true as soon as every loop has answered, false when the report has ended before.</summary>
    private bool AwaitLoops()
    {
        foreach (var pulse in _pulses)
            pulse.Ask();
        long asked = TimeProvider.System.GetTimestamp();
        bool isLate = false;
        while (_pulses.Any(pulse => !pulse.IsAnswered))
        {
            if (_ended.Token.WaitHandle.WaitOne(s_look))
                return false;
            if (isLate || TimeProvider.System.GetElapsedTime(asked) < _interval)
                continue;
            isLate = true;
            for (int shard = 0; shard < _pulses.Length; shard++)
            {
                if (!_pulses[shard].IsAnswered)
                    CollectorLog.LoopDoesNotAnswer(_log, shard, _interval.TotalSeconds);
            }
        }

        return true;
    }

    private string Status() => string.Create(CultureInfo.InvariantCulture,
        $"STATUS={(_isStopping ? "Shutting down" : "Serving")}: {_metrics.Receiving} dumps arriving, {_metrics.Complete} complete, {_metrics.NotComplete} not complete");

    /// <summary>A piece of work that a loop does as soon as it gets to it.</summary>
    private sealed class Pulse(IEventLoop loop) : ILoopWork
    {
        private volatile bool _isAnswered;

        public bool IsAnswered => _isAnswered;

        public void Ask()
        {
            _isAnswered = false;
            loop.Post(this);
        }

        public void Run() => _isAnswered = true;
    }
}
