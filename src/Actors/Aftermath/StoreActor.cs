using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;
using NetdumpCollector.Storage.Stitching;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Aftermath;

/// <summary>What uploads are about.</summary>
/// <param name="Root">The dump directory.</param>
/// <param name="Options">Which store, and how.</param>
/// <param name="Open">Makes a client of the store, on the thread that is to use it.</param>
/// <param name="Time">The clock.</param>
/// <param name="Metrics">What is counted.</param>
/// <param name="Logger">What is told.</param>
public sealed record StoreSetup(string Root, StoreOptions Options, Func<CancellationToken, IObjectStore> Open, TimeProvider Time, CollectorMetrics Metrics, ILogger Logger)
{
    /// <summary>Nodes go on with each other's dumps: one that lacks something may be made whole.</summary>
    public bool HasParts { get; init; }
}

/// <summary>Knows which ended dumps are not in the object store yet and has them uploaded, the oldest first. The dump directory is its queue: what a process did not get to, the next one finds there.</summary>
/// <param name="setup">What, where and how.</param>
/// <param name="uploads">Threads for as many uploads as there may be at one time.</param>
/// <param name="stopping">The server ends.</param>
public sealed class StoreActor(StoreSetup setup, IDispatcher uploads, CancellationToken stopping) : Actor<StoreActor.Message>
{
    public abstract record Message;

    /// <summary>Begins, with what earlier processes did not get to.</summary>
    public sealed record Begin : Message;

    /// <summary>A dump stands under its final names, or its hash is known.</summary>
    public sealed record DumpReady(string ManifestPath) : Message;

    internal sealed record Uploaded(string Id) : Message;

    internal sealed record UploadElsewhere(string Id) : Message;

    internal sealed record UploadFailed(string Id, string Problem) : Message;

    private sealed record Look : Message;

    /// <summary>How often the dump directory is searched, for what no message told of, and for what was deleted (10 min).</summary>
    private const long SearchEveryUs = 600_000_000;

    /// <summary>How often those are looked at that wait for their hash or script (5 s).</summary>
    private const long LookEveryUs = 5_000_000;

    /// <summary>An upload that another process has begun is looked at again after so long (30 s).</summary>
    private const long ElsewhereUs = 30_000_000;

    /// <summary>What failed for the dump's own sake is tried again after so long (15 min), each time after twice as long.</summary>
    private const long RefusedUs = 900_000_000;

    /// <summary>But once a day.</summary>
    private const long MostRefusedUs = 86_400_000_000;

    /// <summary>Uploads that nobody has gone on with for so long are given up; a slow line may need days for a large dump.</summary>
    private static readonly TimeSpan s_stale = TimeSpan.FromDays(7);

    /// <summary>A dump that has its end and lacks something is kept back so long where another node may have a part of it that has not ended: that is as long as a client is waited for, and some time to fetch it.</summary>
    private static readonly TimeSpan s_startPatience = TimeSpan.FromHours(1);

    private readonly Dictionary<string, Pending> _pending = [];
    private readonly Queue<ActorRef<UploadActor.Message>> _idle = [];
    private readonly Readings _readings = new(setup.Time);
    private IActorTimer? _timer;
    private long _searchUs;

    protected override void PreStart()
    {
        _readings.Health = new(setup.Time, Tell);
        for (int i = 0; i < setup.Options.Concurrency; i++)
        {
            var self = Self;
            var health = _readings.Health;
            _idle.Enqueue(Context.Spawn<UploadActor.Message>($"upload-{i}", uploads, () => new UploadActor(setup, health, self, stopping), new() { Strategy = SupervisorStrategy.Resume }));
        }

        setup.Metrics.ObserveStore(_readings);
    }

    protected override void Receive(Message message)
    {
        if (stopping.IsCancellationRequested)
            return;
        switch (message)
        {
            case Begin:
                Search();
                CollectorLog.StoreUsed(setup.Logger, setup.Options.Location.ToString(), _pending.Count);
                break;
            case DumpReady ready:
                Add(ready.ManifestPath);
                break;
            case Uploaded done when _pending.Remove(done.Id, out var pending):
                Free(pending);
                setup.Metrics.StoreHasDump(setup.Time.GetUtcNow());
                CollectorLog.Stored(setup.Logger, Path.GetRelativePath(setup.Root, pending.Dump.VmcorePath), done.Id, setup.Options.Location.UrlOf(setup.Options.Location.FolderOf(pending.Dump.Manifest)));
                break;
            case UploadElsewhere elsewhere when _pending.TryGetValue(elsewhere.Id, out var pending):
                Free(pending);
                pending.NotBeforeUs = Context.NowUs + ElsewhereUs;
                break;
            case UploadFailed failed when _pending.TryGetValue(failed.Id, out var pending):
                Free(pending);
                pending.RefusedUs = Math.Min(pending.RefusedUs == 0 ? RefusedUs : 2 * pending.RefusedUs, MostRefusedUs);
                pending.NotBeforeUs = Context.NowUs + pending.RefusedUs;
                CollectorLog.NotStored(setup.Logger, failed.Id, failed.Problem, pending.RefusedUs / 60e6);
                break;
            case Look when Context.NowUs >= _searchUs:
                Search();
                break;
        }

        StartUploads();
        _readings.Take(_pending.Values.Select(pending => pending.Dump.Manifest));
        _timer ??= Context.CreateTimer(new Look());
        _timer.Arm(Context.NowUs + LookEveryUs);
    }

    private void Search()
    {
        _searchUs = Context.NowUs + SearchEveryUs;
        if (_idle.TryPeek(out var idle))
            idle.Tell(new UploadActor.GiveUpStale(s_stale));
        try
        {
            foreach (var dump in DumpCatalog.Read(setup.Root).Dumps)
                Add(dump);
            foreach (var gone in _pending.Values.Where(pending => pending.Uploader is null && !File.Exists(pending.Dump.ManifestPath)).ToArray())
                _pending.Remove(gone.Dump.Manifest.Id);
        }
        catch (StorageException e)
        {
            CollectorLog.StoreFails(setup.Logger, e.Message);
        }
    }

    private void Add(string manifestPath)
    {
        try
        {
            Add(new CatalogedDump(manifestPath, ManifestFile.Read(manifestPath)));
        }
        catch (StorageException)
        {
            // Deleted meanwhile, or found by the next search.
        }
    }

    private void Add(CatalogedDump dump)
    {
        string id = dump.Manifest.Id;
        if (dump.Manifest.Stored is not null)
            return;
        if (!_pending.TryGetValue(id, out var known))
            _pending.Add(id, new(dump));
        else if (known.Uploader is null)
            known.Dump = dump;
    }

    private void StartUploads()
    {
        foreach (var pending in _pending.Values.Where(pending => pending.Uploader is null && pending.NotBeforeUs <= Context.NowUs).OrderBy(pending => pending.Dump.Manifest.EndedAt).ToArray())
        {
            if (_idle.Count == 0)
                return;
            if (!IsReady(pending))
                continue;
            pending.Uploader = _idle.Dequeue();
            pending.Uploader.Tell(new UploadActor.Upload(pending.Dump));
        }
    }

    /// <summary>Its hash is known, or never will be, and its script has ended, so that the manifest in the store says both.</summary>
    private bool IsReady(Pending pending)
    {
        if (IsReady(pending.Dump.Manifest))
            return true;
        try
        {
            pending.Dump = pending.Dump with { Manifest = ManifestFile.Read(pending.Dump.ManifestPath) };
        }
        catch (StorageException)
        {
            if (!File.Exists(pending.Dump.ManifestPath))
                _pending.Remove(pending.Dump.Manifest.Id);
            return false;
        }

        return IsReady(pending.Dump.Manifest);
    }

    /// <summary>Nor does it wait for parts that other nodes have received: what is in the store stays as it is.</summary>
    private bool IsReady(Manifest manifest) => manifest is { HashState: not HashState.Pending, ScriptPending: false } && setup.Time.GetUtcNow() is var now && !DumpStitching.IsAwaited(manifest, now)
        && !(setup.HasParts && DumpStitching.IsWanted(manifest) && now - manifest.EndedAt < s_startPatience);

    private void Free(Pending pending)
    {
        if (pending.Uploader is { } uploader)
            _idle.Enqueue(uploader);
        pending.Uploader = null;
        if (!File.Exists(pending.Dump.ManifestPath))
            _pending.Remove(pending.Dump.Manifest.Id);
    }

    private void Tell(ObjectStoreException? problem)
    {
        if (problem is null)
            CollectorLog.StoreWorksAgain(setup.Logger);
        else
            CollectorLog.StoreFails(setup.Logger, problem.Message);
    }

    /// <summary>A dump that is to be uploaded.</summary>
    private sealed class Pending(CatalogedDump dump)
    {
        public CatalogedDump Dump { get; set; } = dump;
        public ActorRef<UploadActor.Message>? Uploader { get; set; }
        public long NotBeforeUs { get; set; }
        public long RefusedUs { get; set; }
    }

    private sealed class Readings(TimeProvider time) : IStoreReadings
    {
        private long _dumps;
        private long _bytes;
        private long _oldest;

        public StoreHealth? Health { get; set; }

        public long PendingDumps => Interlocked.Read(ref _dumps);
        public long PendingBytes => Interlocked.Read(ref _bytes);
        public double OldestPendingSeconds => Interlocked.Read(ref _oldest) is > 0 and var at ? Math.Max(0, (time.GetUtcNow().UtcTicks - at) / (double)TimeSpan.TicksPerSecond) : 0;
        public bool? IsUp => Health?.IsUp;

        public void Take(IEnumerable<Manifest> pending)
        {
            long dumps = 0, bytes = 0, oldest = 0;
            foreach (var manifest in pending)
            {
                dumps++;
                bytes += (long)manifest.CoveredBytes;
                oldest = oldest == 0 ? manifest.EndedAt.UtcTicks : Math.Min(oldest, manifest.EndedAt.UtcTicks);
            }

            Interlocked.Exchange(ref _dumps, dumps);
            Interlocked.Exchange(ref _bytes, bytes);
            Interlocked.Exchange(ref _oldest, oldest);
        }
    }
}
