using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace NetdumpCollector.Actors.Tests;

/// <summary>Keeps what is logged.</summary>
internal sealed class RecordingLogger : ILogger
{
    private readonly ConcurrentQueue<(int Id, string Text)> _lines = [];

    public string All => string.Join('\n', _lines.Select(line => $"{line.Id} {line.Text}"));

    public int Count(int eventId) => _lines.Count(line => line.Id == eventId);

    /// <summary>The first line with this event id, when there is one.</summary>
    public async Task<string> Line(int eventId)
    {
        await Eventually.Holds(() => Count(eventId) > 0, $"log event {eventId}");
        return _lines.First(line => line.Id == eventId).Text;
    }

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue((eventId.Id, formatter(state, exception) + exception));

    public bool IsEnabled(LogLevel logLevel) => true;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
}
