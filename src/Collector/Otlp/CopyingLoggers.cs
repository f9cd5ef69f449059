using System.Diagnostics;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Collector.Otlp;

/// <summary>Loggers whose lines go to a second place too, once that is there: what was logged before follows then.</summary>
internal sealed class CopyingLoggers(ILoggerFactory first) : ILoggerFactory
{
    /// <summary>Lines that may wait for the second place; later ones are not copied.</summary>
    private const int MaxWaiting = 1000;

    private readonly Lock _gate = new();
    private Queue<Action<ILoggerFactory>>? _waiting = new();
    private volatile ILoggerFactory? _second;

    public ILogger CreateLogger(string categoryName) => new Copying(this, first.CreateLogger(categoryName), categoryName);

    public void AddProvider(ILoggerProvider provider) => first.AddProvider(provider);

    /// <summary>Copies to <paramref name="second"/> from now on.</summary>
    public void CopyTo(ILoggerFactory second)
    {
        lock (_gate)
        {
            while (_waiting!.TryDequeue(out var line))
                line(second);
            _waiting = null;
            _second = second;
        }
    }

    public void Dispose() => first.Dispose();

    private sealed class Copying(CopyingLoggers owner, ILogger first, string category) : ILogger
    {
        private ILogger? _second;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => first.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => first.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            first.Log(logLevel, eventId, state, exception, formatter);
            if (owner._second is { } second)
                Copy(_second ??= second.CreateLogger(category), logLevel, eventId, state, exception, formatter);
            else
                Keep(logLevel, eventId, state, exception, formatter);
        }

        /// <summary>What is logged must not fail for the sake of its copy.</summary>
        private static void Copy<TState>(ILogger second, LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            try
            {
                second.Log(logLevel, eventId, state, exception, formatter);
            }
            catch (Exception)
            {
                // The line stands where it always stands.
            }
        }

        private void Keep<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var span = Activity.Current;
            lock (owner._gate)
            {
                if (owner._second is { } second)
                    Late(second);
                else if (owner._waiting is { Count: < MaxWaiting } waiting)
                    waiting.Enqueue(Late);
            }

            void Late(ILoggerFactory second)
            {
                using var scope = new SpanScope(span);
                Copy(second.CreateLogger(category), logLevel, eventId, state, exception, formatter);
            }
        }
    }
}
