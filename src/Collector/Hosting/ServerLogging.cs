using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Logs on the console: plain lines as netdumpd prints them, or a JSON object per line.</summary>
internal static class ServerLogging
{
    public static ILoggerFactory Create(LogFormat format, bool progress) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddConsole(console =>
        {
            console.FormatterName = format == LogFormat.Json ? ConsoleFormatterNames.Json : PlainFormatter.FormatterName;
            // A terminal that is stopped must not stop the event loop.
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
            console.MaxQueueLength = 10_000;
        });
        if (format == LogFormat.Json)
        {
            logging.AddJsonConsole(json =>
            {
                json.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
                json.UseUtcTimestamp = true;
            });
        }
        else
        {
            logging.AddConsoleFormatter<PlainFormatter, PlainFormatterOptions>(plain => plain.ClearsLine = progress);
        }
    });

    internal sealed class PlainFormatterOptions : ConsoleFormatterOptions
    {
        /// <summary>A progress line may stand where the next line goes.</summary>
        public bool ClearsLine { get; set; }
    }

    /// <summary>The message alone; what is worse than information says so first.</summary>
    internal sealed class PlainFormatter(Microsoft.Extensions.Options.IOptions<PlainFormatterOptions> options) : ConsoleFormatter(FormatterName)
    {
        public const string FormatterName = "plain";

        public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
        {
            if (options.Value.ClearsLine)
                textWriter.Write(ServerProgress.ClearLine);
            textWriter.Write(logEntry.LogLevel switch
            {
                LogLevel.Warning => "warning: ",
                LogLevel.Error or LogLevel.Critical => "error: ",
                _ => "",
            });
            textWriter.WriteLine(logEntry.Formatter(logEntry.State, logEntry.Exception).TrimEnd());
            if (logEntry.Exception is not null)
                textWriter.WriteLine(logEntry.Exception);
        }
    }
}
