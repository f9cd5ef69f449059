using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Http;

public sealed class AuditLogTests : IDisposable
{
    private static readonly AuditEntry s_entry = new("download.ended", "fetcher", "download", "127.0.0.1", "GET", "/api/v1/dumps/web1.0/vmcore");

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Its_end_waits_for_lines_that_are_to_be_written()
    {
        using (var audit = new AuditLog(_temp.File("audit"), TimeProvider.System, new Lines()))
        {
            for (int i = 0; i < 100; i++)
                audit.Post(s_entry);
        }

        Assert.Equal(100, File.ReadAllLines(_temp.File("audit")).Length);
    }

    [Fact]
    public void It_says_once_that_lines_cannot_be_written_and_once_that_they_can_again()
    {
        var log = new Lines();
        using var audit = new AuditLog(_temp.File("nowhere/audit"), TimeProvider.System, log);
        for (int i = 0; i < 3; i++)
            Assert.Throws<StorageException>(() => audit.Write(s_entry, durable: false));
        Directory.CreateDirectory(_temp.File("nowhere"));
        for (int i = 0; i < 3; i++)
            audit.Write(s_entry, durable: true);

        Assert.Equal(["AuditFails", "AuditWorksAgain"], log.Events);
    }

    private sealed class Lines : ILogger
    {
        public ConcurrentQueue<string?> Events { get; } = new();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Events.Enqueue(eventId.Name);
    }
}
