using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;
using NetdumpCollector.Collector.Otlp;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Logs on the console: plain lines as netdumpd prints them, or a JSON object per line.</summary>
internal static class ServerLogging
{
    /// <param name="format">How lines look.</param>
    /// <param name="progress">A progress line may stand on the terminal.</param>
    /// <param name="copies">Lines will be wanted elsewhere too: returns <see cref="CopyingLoggers"/>.</param>
    public static ILoggerFactory Create(LogFormat format, bool progress, bool copies)
    {
        var console = format == LogFormat.Json ? CreateJson() : CreatePlain(progress);
        return copies ? new CopyingLoggers(console) : console;
    }

    /// <summary>The library's own formatter can be had from its container only.</summary>
    private static ILoggerFactory CreateJson() => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddConsole(Configure);
        logging.AddJsonConsole(json =>
        {
            json.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
            json.UseUtcTimestamp = true;
        });
    });

    private static PlainLoggers CreatePlain(bool progress)
    {
        var options = new ConsoleLoggerOptions { FormatterName = PlainFormatter.FormatterName };
        Configure(options);
        return new(new(new Unchanging<ConsoleLoggerOptions>(options), [new PlainFormatter(progress)]));
    }

    private static void Configure(ConsoleLoggerOptions console)
    {
        // A terminal that is stopped must not stop the event loop.
        console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
        console.MaxQueueLength = 10_000;
    }

    /// <summary>Loggers of the console alone: the container would be the longest step of the whole start, and the library's factory is much to compile for one provider.</summary>
    private sealed class PlainLoggers(ConsoleLoggerProvider console) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => console.CreateLogger(categoryName);

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("logs go to the console alone");

        /// <summary>Writes what is queued.</summary>
        public void Dispose() => console.Dispose();
    }

    /// <summary>Options that stay as they are.</summary>
    private sealed class Unchanging<T>(T value) : IOptionsMonitor<T>
    {
        public T CurrentValue => value;

        public T Get(string? name) => value;

        public IDisposable? OnChange(Action<T, string?> listener) => null;
    }

    /// <summary>The message alone; what is worse than information says so first, what is less is left out.</summary>
    /// <param name="clearsLine">A progress line may stand where the next line goes.</param>
    internal sealed class PlainFormatter(bool clearsLine) : ConsoleFormatter(FormatterName)
    {
        public const string FormatterName = "plain";

        public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
        {
            if (logEntry.LogLevel < LogLevel.Information)
                return;
            if (clearsLine)
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
