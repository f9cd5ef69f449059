using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Storage;

/// <summary>One file system's threads, and whether its writes are quick enough for an event loop.</summary>
/// <remarks>
/// A write to the page cache takes microseconds, less than handing it to another thread, so loops do it themselves. A file system that holds a loop up (a full device
/// queue, a dead server) is given its own threads, whole bursts at a time, until it has been quick for a while: one second, then twice as long each time it relapses.
/// Sessions on other file systems lose at most what it takes to notice. A write that took long because the machine is busy says nothing about its device, so only those
/// that waited for something count (<see cref="ThreadWaits"/>). Source: design.md, "Data path".
/// </remarks>
public sealed class FileSystemLane : IStallObserver, IDisposable
{
    private const int WriteThreads = 8;
    private const int SyncThreads = 16;

    /// <summary>A write that takes no longer than this (2 ms) is the page cache's.</summary>
    private readonly long _quickTicks;

    /// <summary>After a write that took longer, it is asked for so long (10 s) whether writes wait for something: that costs a system call each.</summary>
    private readonly long _watchTicks;

    /// <summary>What writes that waited may take beyond that, per second (20 ms), from all sessions together.</summary>
    private readonly long _excessTicksPerSecond;

    private static readonly TimeSpan s_firstProbation = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_longestProbation = TimeSpan.FromMinutes(1);

    private readonly object _gate = new();
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _name;
    private volatile bool _isInline = true;
    private volatile bool _isWatched;
    private long _watchedUntil;
    private TimeSpan _probation = s_firstProbation;
    private long _quickSince;
    private long? _inlineSince;
    private long _excessTicks;
    private long _excessFrom;

    /// <param name="name">How logs call the file system: a path on it.</param>
    /// <param name="system">Where its actor lives.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told when it becomes slow and when it has recovered.</param>
    public FileSystemLane(string name, ActorSystem system, TimeProvider time, ILogger logger)
    {
        _name = name;
        _time = time;
        _quickTicks = time.TimestampFrequency / 500;
        _watchTicks = time.TimestampFrequency * 10;
        _excessTicksPerSecond = time.TimestampFrequency / 50;
        _logger = logger;
        Upkeep = system.Spawn<FileSystemActor.Message>("upkeep", Syncers, () => new FileSystemActor(), new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
    }

    /// <summary>Loops may write themselves.</summary>
    public bool IsInline => _isInline;

    /// <summary>Threads that write bursts while loops must not.</summary>
    public ThreadDispatcher Writers { get; } = new("write", WriteThreads);

    /// <summary>Threads that wait until bytes are on the device; apart from the writers, so that no fsync delays an ack.</summary>
    public ThreadDispatcher Syncers { get; } = new("sync", SyncThreads);

    /// <summary>Does what nobody waits for.</summary>
    public ActorRef<FileSystemActor.Message> Upkeep { get; }

    /// <summary>Notes that the calling thread begins a write.</summary>
    public WriteStart BeginWrite() => new(_time.GetTimestamp(), _isWatched || !_isInline ? ThreadWaits.Count() : WriteStart.Unmeasured);

    /// <summary>A loop has written.</summary>
    public void EndInlineWrite(in WriteStart start)
    {
        long now = _time.GetTimestamp();
        if (now - start.Timestamp <= _quickTicks)
        {
            if (_isWatched)
                _isWatched = now < Volatile.Read(ref _watchedUntil);
        }
        else if (start.Waits == WriteStart.Unmeasured)
        {
            // It may only have lost the processor; the next ones will tell.
            Volatile.Write(ref _watchedUntil, now + _watchTicks);
            _isWatched = true;
        }
        else if (ThreadWaits.Count() > start.Waits)
        {
            AddExcess(now, now - start.Timestamp - _quickTicks);
        }
    }

    /// <summary>A thread of <see cref="Writers"/> has written.</summary>
    public void EndThreadedWrite(in WriteStart start)
    {
        long now = _time.GetTimestamp();
        bool isSlow = now - start.Timestamp > _quickTicks && (start.Waits == WriteStart.Unmeasured || ThreadWaits.Count() > start.Waits);
        lock (_gate)
        {
            if (_isInline)
                return;
            if (isSlow)
                _quickSince = now;
            if (_time.GetElapsedTime(_quickSince, now) < _probation)
                return;

            _inlineSince = now;
            _excessTicks = 0;
            _isInline = true;
        }

        CollectorLog.FileSystemRecovered(_logger, _name);
    }

    /// <summary>A loop was held up by a write that has not come back.</summary>
    public void OnStall() => TurnSlow(_time.GetTimestamp());

    public void Dispose()
    {
        Writers.Dispose();
        Syncers.Dispose();
    }

    private void AddExcess(long now, long excessTicks)
    {
        lock (_gate)
        {
            // A leaking bucket: what is granted per second flows out of it.
            double seconds = _time.GetElapsedTime(_excessFrom, now).TotalSeconds;
            _excessTicks = Math.Max(0, _excessTicks - (long)(Math.Min(seconds, 1) * _excessTicksPerSecond)) + excessTicks;
            _excessFrom = now;
            if (_excessTicks <= _excessTicksPerSecond)
                return;
        }

        TurnSlow(now);
    }

    private void TurnSlow(long now)
    {
        lock (_gate)
        {
            _quickSince = now;
            if (!_isInline)
                return;

            bool isRelapse = _inlineSince is long since && _time.GetElapsedTime(since, now) < s_longestProbation;
            _probation = !isRelapse ? s_firstProbation : _probation * 2 < s_longestProbation ? _probation * 2 : s_longestProbation;
            _isInline = false;
        }

        CollectorLog.FileSystemSlow(_logger, _name);
    }
}

/// <summary>When a write began, and how often its thread had waited by then.</summary>
/// <param name="Timestamp">As <see cref="TimeProvider.GetTimestamp"/> tells.</param>
/// <param name="Waits">As <see cref="ThreadWaits.Count"/> tells, or <see cref="Unmeasured"/>.</param>
public readonly record struct WriteStart(long Timestamp, long Waits)
{
    public const long Unmeasured = -1;
}
