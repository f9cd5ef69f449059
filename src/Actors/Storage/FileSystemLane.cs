using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Storage;

/// <summary>One file system's threads, and whether its writes are quick enough for an event loop.</summary>
/// <remarks>
/// A write to the page cache takes microseconds, less than handing it to another thread, so loops do it themselves. A file system that holds a loop up (a full device
/// queue, a dead server) is given its own threads, whole bursts at a time, until all its writes have been quick for a while, those that are in progress included: one second, then twice as long
/// each time it relapses.
/// Sessions on other file systems lose at most what it takes to notice. A write that took long because the machine is busy says nothing about its device, so only those
/// that waited for something count (<see cref="ThreadWaits"/>). Source: design.md, "Data path".
/// </remarks>
public sealed class FileSystemLane : IStallObserver, IDisposable
{
    /// <summary>Threads that write while loops must not.</summary>
    private const int WriteThreads = 8;

    private const int SyncThreads = 16;

    /// <summary>Threads of either kind where each burst waits for the device: those of many dumps wait together, and a file system stores what is synced at one time in one go.</summary>
    private const int SharedThreads = 32;

    private const int CheckpointThreads = 4;

    /// <summary>A write that takes no longer than this (2 ms) is the page cache's.</summary>
    private readonly long _quickTicks;

    /// <summary>After a write that took longer, it is asked for so long (10 s) whether writes wait for something: that costs a system call each.</summary>
    private readonly long _watchTicks;

    /// <summary>What writes that waited may take beyond that, per second (20 ms), from all sessions together.</summary>
    private readonly long _excessTicksPerSecond;

    private static readonly TimeSpan s_firstProbation = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_longestProbation = TimeSpan.FromMinutes(1);

    /// <summary>A write that is in progress for longer than this (20 ms) hangs.</summary>
    private readonly long _hangTicks;

    private readonly object _gate = new();

    // When the writes of Writers that are in progress began, the oldest first.
    private readonly List<long> _threaded = [];
    private readonly TimeProvider _time;
    private readonly CollectorMetrics _metrics;
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
    private int _stalled;

    /// <param name="name">How logs call the file system: a path on it.</param>
    /// <param name="system">Where its actor lives.</param>
    /// <param name="time">The clock.</param>
    /// <param name="metrics">Told how long each write took.</param>
    /// <param name="logger">Told when it becomes slow and when it has recovered.</param>
    /// <param name="isShared">Nodes have the dump directory in common.</param>
    public FileSystemLane(string name, ActorSystem system, TimeProvider time, CollectorMetrics metrics, ILogger logger, bool isShared = false)
    {
        Writers = new("write", isShared ? SharedThreads : WriteThreads);
        Syncers = new("sync", isShared ? SharedThreads : SyncThreads);
        _name = name;
        _time = time;
        _quickTicks = time.TimestampFrequency / 500;
        _watchTicks = time.TimestampFrequency * 10;
        _excessTicksPerSecond = time.TimestampFrequency / 50;
        _hangTicks = time.TimestampFrequency / 50;
        _metrics = metrics;
        _logger = logger;
        Sizing = system.Spawn<SizingActor.SizeDump>("sizing", Checkpointers, () => new SizingActor(), new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        Upkeep = system.Spawn<FileSystemActor.Message>("upkeep", Checkpointers, () => new FileSystemActor(), new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
    }

    /// <summary>Loops may write themselves.</summary>
    public bool IsInline => _isInline;

    /// <summary>Threads that write bursts while loops must not, or where acks wait for the device.</summary>
    public ThreadDispatcher Writers { get; }

    /// <summary>Threads that make ended dumps durable; apart from the writers, so that no fsync delays an ack.</summary>
    public ThreadDispatcher Syncers { get; }

    /// <summary>Threads that put bytes of running dumps on the device; few and apart from the <see cref="Syncers"/>, because a client waits for its commit and not for these.</summary>
    public ThreadDispatcher Checkpointers { get; } = new("checkpoint", CheckpointThreads);

    /// <summary>Does what nobody waits for.</summary>
    public ActorRef<FileSystemActor.Message> Upkeep { get; }

    /// <summary>Finds out how long running dumps will be.</summary>
    internal ActorRef<SizingActor.SizeDump> Sizing { get; }

    /// <summary>Notes that a loop begins a write; ended by <see cref="EndInlineWrite"/>, or where the loop has gone on without its thread by <see cref="EndStalledWrite"/>.</summary>
    public WriteStart BeginWrite() => new(_time.GetTimestamp(), _isWatched || !_isInline ? ThreadWaits.Count() : WriteStart.Unmeasured);

    /// <summary>A loop has written.</summary>
    public void EndInlineWrite(in WriteStart start)
    {
        long now = _time.GetTimestamp();
        _metrics.Write.Record(_time.GetElapsedTime(start.Timestamp, now).TotalSeconds);
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

    /// <summary>A write that a loop was held up by (<see cref="OnStall"/>) has come back.</summary>
    public void EndStalledWrite(in WriteStart start)
    {
        _metrics.Write.Record(_time.GetElapsedTime(start.Timestamp).TotalSeconds);
        lock (_gate)
        {
            _stalled--;
            _quickSince = _time.GetTimestamp();
        }
    }

    /// <summary>Notes that a thread of <see cref="Writers"/> begins a write; ended by <see cref="EndThreadedWrite"/> on the same thread.</summary>
    public WriteStart BeginThreadedWrite()
    {
        var start = BeginWrite();
        lock (_gate)
            _threaded.Add(start.Timestamp);
        return start;
    }

    /// <summary>A thread of <see cref="Writers"/> has written.</summary>
    public void EndThreadedWrite(in WriteStart start)
    {
        long now = _time.GetTimestamp();
        _metrics.Write.Record(_time.GetElapsedTime(start.Timestamp, now).TotalSeconds);
        bool isSlow = now - start.Timestamp > _quickTicks && (start.Waits == WriteStart.Unmeasured || ThreadWaits.Count() > start.Waits);
        lock (_gate)
        {
            _threaded.Remove(start.Timestamp);
            if (_isInline)
                return;
            // That this write was quick says nothing while another one does not come back: the next may hang as well.
            if (isSlow || _stalled > 0 || (_threaded.Count > 0 && now - _threaded[0] > _hangTicks))
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
    public void OnStall()
    {
        lock (_gate)
            _stalled++;
        TurnSlow(_time.GetTimestamp());
    }

    public void Dispose()
    {
        Writers.Dispose();
        Syncers.Dispose();
        Checkpointers.Dispose();
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
