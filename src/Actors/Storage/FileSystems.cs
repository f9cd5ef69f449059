using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Storage;

/// <summary>The file systems that dumps lie on: the dump directory's own, and those mounted beneath it.</summary>
/// <remarks>Which one a path leads to is known only once it is open, so opens have threads by path: one that hangs keeps only its own kind waiting.</remarks>
/// <param name="system">Where their actors live.</param>
/// <param name="time">The clock.</param>
/// <param name="metrics">Told how long writes take.</param>
/// <param name="logger">Told of file systems that become slow.</param>
/// <param name="isShared">Nodes have the dump directory in common: each step of each dump waits for a server and a device then, and hundreds begin and end at one time.</param>
public sealed class FileSystems(ActorSystem system, TimeProvider time, CollectorMetrics metrics, ILogger logger, bool isShared = false) : IDisposable
{
    private const int OpenThreads = 4;
    private const int SharedOpenThreads = 32;

    /// <summary>Paths with threads of their own. Heralds name them, so there is an end to it; later ones share some.</summary>
    private const int MaxOpenPaths = 32;

    /// <summary>No path has a zero in it.</summary>
    private const string OtherPaths = "\0";

    private readonly object _gate = new();
    private readonly Dictionary<ulong, FileSystemLane> _lanes = [];
    private readonly Dictionary<string, ThreadDispatcher> _openers = new() { [""] = NewOpeners(isShared), [OtherPaths] = NewOpeners(isShared) };

    /// <summary>Where packets wait while a file is being opened, or written by another thread.</summary>
    internal StagingPool Stagings { get; } = new();

    /// <summary>Threads that open files in the directory that a herald asks for; empty for none.</summary>
    public IDispatcher OpenersOf(string heraldPath)
    {
        lock (_gate)
        {
            if (_openers.TryGetValue(heraldPath, out var openers))
                return openers;
            try
            {
                if (_openers.Count < MaxOpenPaths)
                    _openers.Add(heraldPath, NewOpeners(isShared));
            }
            catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
            {
                // No thread to be had now.
            }

            return _openers.GetValueOrDefault(heraldPath) ?? _openers[OtherPaths];
        }
    }

    /// <summary>The lanes of all file systems that dumps were opened on.</summary>
    internal IReadOnlyList<FileSystemLane> Lanes
    {
        get
        {
            lock (_gate)
                return [.. _lanes.Values];
        }
    }

    /// <summary>All threads that open, write and sync.</summary>
    public IReadOnlyList<ThreadDispatcher> Threads
    {
        get
        {
            lock (_gate)
                return [.. _openers.Values, .. _lanes.Values.SelectMany(lane => (ThreadDispatcher[])[lane.Writers, lane.Syncers, lane.Checkpointers])];
        }
    }

    /// <summary>The lane of the file system that <paramref name="file"/> lies on.</summary>
    public FileSystemLane LaneOf(DumpFile file)
    {
        lock (_gate)
        {
            if (!_lanes.TryGetValue(file.Device, out var lane))
                _lanes.Add(file.Device, lane = new(Path.GetDirectoryName(file.PartialPath)!, system, time, metrics, logger, isShared));
            return lane;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var lane in _lanes.Values)
                lane.Dispose();
            foreach (var openers in _openers.Values)
                openers.Dispose();
        }

        Stagings.Dispose();
    }

    private static ThreadDispatcher NewOpeners(bool isShared) => new("open", isShared ? SharedOpenThreads : OpenThreads);
}
