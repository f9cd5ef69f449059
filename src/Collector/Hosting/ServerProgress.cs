using System.Globalization;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Shows how running dumps get on: a line that redraws itself on a terminal, else a log line now and then. What must be looked at each second is looked at here.</summary>
internal static class ServerProgress
{
    /// <summary>Back to the first column and delete what stands there.</summary>
    public const string ClearLine = "\r\e[K";

    private const int LogEverySeconds = 10;
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    /// <summary>Runs until <paramref name="stop"/> is cancelled.</summary>
    public static void Run(CollectorMetrics metrics, bool onTerminal, ILogger log, CancellationToken stop)
    {
        long before = metrics.PayloadBytes;
        long loggedBytes = before;
        int seconds = 0;
        bool shown = false;
        while (!stop.WaitHandle.WaitOne(s_interval))
        {
            metrics.NoteProgress();
            long bytes = metrics.PayloadBytes;
            if (onTerminal)
                shown = Show(metrics, bytes, bytes - before, shown);
            else if (++seconds % LogEverySeconds == 0)
            {
                if (metrics.Receiving > 0)
                    CollectorLog.Progress(log, metrics.Receiving, bytes / 1_000_000, (bytes - loggedBytes) / LogEverySeconds / 1_000_000);
                loggedBytes = bytes;
            }

            before = bytes;
        }

        if (shown)
            Console.Out.Write(ClearLine);
    }

    private static bool Show(CollectorMetrics metrics, long bytes, long bytesInSecond, bool shown)
    {
        if (metrics.Receiving > 0)
        {
            Console.Out.Write(string.Create(CultureInfo.InvariantCulture,
                $"{ClearLine}{metrics.Receiving} clients  {bytes / 1e6:F1} MB received  {bytesInSecond / 1e6:F1} MB/s  ({metrics.Complete} complete, {metrics.NotComplete} not)"));
            return true;
        }

        if (shown)
            Console.Out.Write(ClearLine);
        return false;
    }
}
