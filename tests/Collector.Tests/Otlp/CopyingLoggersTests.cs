using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Otlp;

namespace NetdumpCollector.Collector.Tests.Otlp;

public sealed class CopyingLoggersTests
{
    [Fact]
    public void What_was_logged_before_somebody_listens_follows_in_order_with_its_span()
    {
        var (console, export) = (new Lines(), new Lines());
        using var loggers = new CopyingLoggers(console);
        var log = loggers.CreateLogger("netdump-collector");
        using var span = new Activity("dump").Start();
        Say(log, LogLevel.Information, "one");
        Activity.Current = null;
        Say(log, LogLevel.Warning, "two");
        loggers.CopyTo(export);
        Say(log, LogLevel.Error, "three");

        Assert.Equal(["Information one", "Warning two", "Error three"], console.All.Select(line => line.Text));
        Assert.Equal(console.All.Select(line => line.Text), export.All.Select(line => line.Text));
        Assert.Equal([span, null, null], export.All.Select(line => line.Span));
        Assert.Null(Activity.Current);
        span.Stop();
    }

    [Fact]
    public void Only_so_many_lines_wait()
    {
        var (console, export) = (new Lines(), new Lines());
        using var loggers = new CopyingLoggers(console);
        var log = loggers.CreateLogger("netdump-collector");
        for (int i = 0; i < 1500; i++)
            Say(log, LogLevel.Information, i.ToString(CultureInfo.InvariantCulture));
        loggers.CopyTo(export);

        Assert.Equal(1500, console.All.Count);
        Assert.Equal(1000, export.All.Count);
        Assert.Equal("Information 0", export.All[0].Text);
    }

    [Fact]
    public void A_copy_that_fails_is_nobodys_problem()
    {
        var (console, export) = (new Lines(), new Lines { Fails = true });
        using var loggers = new CopyingLoggers(console);
        var log = loggers.CreateLogger("netdump-collector");
        Say(log, LogLevel.Information, "before");
        loggers.CopyTo(export);
        Say(log, LogLevel.Information, "after");

        Assert.Equal(["Information before", "Information after"], console.All.Select(line => line.Text));
    }

    private static void Say(ILogger log, LogLevel level, string text) => log.Log(level, default, text, exception: null, (words, _) => words);

    private sealed class Lines : ILoggerFactory, ILogger
    {
        public List<(string Text, Activity? Span)> All { get; } = [];

        public bool Fails { get; init; }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (Fails)
                throw new InvalidOperationException("no");
            All.Add(($"{logLevel} {formatter(state, exception)}", Activity.Current));
        }

        public void Dispose()
        {
        }
    }
}
