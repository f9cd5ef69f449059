using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Tells, for later, who read or changed which dump. Thread-safe.</summary>
internal sealed class AuditLog(string path, TimeProvider time, ILogger log) : IDisposable
{
    /// <summary>What a file in the dump directory is called that none of its readers takes for a dump's.</summary>
    public const string DefaultName = ".audit.jsonl";

    /// <summary>A device that hangs must not make waiting lines a matter of memory.</summary>
    private const int MaxWaiting = 256;

    /// <summary>So long the end waits for lines that are to be written.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromMilliseconds(50);

    private readonly AppendedFile _file = new(path);
    private readonly Lazy<ThreadDispatcher> _thread = new(() => new("audit", 1));
    private int _isFailing;

    /// <summary>Writes a line; may block on the device.</summary>
    /// <param name="entry">The line.</param>
    /// <param name="durable">Whether it is on the device when this returns.</param>
    /// <exception cref="StorageException">It is not written.</exception>
    public void Write(AuditEntry entry, bool durable)
    {
        try
        {
            _file.Append(entry.ToLine(time.GetUtcNow()), durable);
            if (Interlocked.Exchange(ref _isFailing, 0) != 0)
                CollectorLog.AuditWorksAgain(log, path);
        }
        catch (StorageException e)
        {
            Fail(e.Message);
            throw;
        }
    }

    /// <summary>Has a line written by a thread of its own, for what has happened already; one that cannot be written is told of in the log.</summary>
    public void Post(AuditEntry entry)
    {
        if (_thread.Value.QueueLength < MaxWaiting)
            _thread.Value.Execute(new Line(this, entry));
        else
            Fail($"the device takes too long, {MaxWaiting} lines wait and others are lost");
    }

    public void Dispose()
    {
        if (_thread.IsValueCreated)
        {
            var written = new TaskCompletionSource();
            _thread.Value.Execute(new Mark(written));
            _ = written.Task.Wait(s_endPatience);
            _thread.Value.Dispose();
        }

        _file.Dispose();
    }

    private void Fail(string problem)
    {
        if (Interlocked.Exchange(ref _isFailing, 1) == 0)
            CollectorLog.AuditFails(log, path, problem);
    }

    /// <summary>All lines before it have been written.</summary>
    private sealed class Mark(TaskCompletionSource reached) : ILoopWork
    {
        public void Run() => reached.SetResult();
    }

    private sealed class Line(AuditLog audit, AuditEntry entry) : ILoopWork
    {
        public void Run()
        {
            try
            {
                audit.Write(entry, durable: false);
            }
            catch (StorageException)
            {
                // The log has it.
            }
        }
    }
}
