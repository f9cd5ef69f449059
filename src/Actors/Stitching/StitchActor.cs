using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>What stitching is about.</summary>
/// <param name="Root">The dump directory.</param>
/// <param name="Node">This node's name.</param>
/// <param name="Open">Makes what finds parts, when it is first needed.</param>
/// <param name="Headroom">Whether there is room for what is fetched.</param>
/// <param name="Metrics">What is counted and told of.</param>
/// <param name="Logger">What is logged.</param>
public sealed record StitchSetup(string Root, string Node, Func<IPartFinder> Open, Headroom Headroom, CollectorMetrics Metrics, ILogger Logger)
{
    /// <summary>Hashes what was made whole, or null.</summary>
    public ActorRef<HashActor.Message>? Hashes { get; init; }

    /// <summary>Uploads what was made whole, or null.</summary>
    public ActorRef<StoreActor.Message>? Store { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Makes dumps whole of which other nodes have received a part: one at a time, for as long as it takes; and notes of the parts here where they are whole. The dump directory is its queue.</summary>
/// <remarks>On a thread of idle priority that may wait for the catalogue and for other nodes.</remarks>
public sealed class StitchActor(StitchSetup setup, CancellationToken stopping) : Actor<StitchActor.Message>
{
    public abstract record Message;

    /// <summary>Begins, with what earlier processes did not get to.</summary>
    public sealed record Begin : Message;

    /// <summary>A dump stands under its final names.</summary>
    public sealed record DumpReady(string ManifestPath) : Message;

    private sealed record Look : Message;

    /// <summary>How often the dump directory is searched, for what no message told of (10 min).</summary>
    private const long SearchEveryUs = 600_000_000;

    /// <summary>The other part has to end first; it is asked for again after so long (2 s), each time after twice as long.</summary>
    internal const long FirstRestUs = 2_000_000;

    /// <summary>But once a minute.</summary>
    internal const long MostRestUs = 60_000_000;

    /// <summary>And after the day that a part is waited for, every ten minutes.</summary>
    private const long LateRestUs = SearchEveryUs;

    private readonly Dictionary<string, Awaiting> _awaiting = [];
    private readonly GivenParts _given = new(setup);

    /// <summary>Dumps whose parts are of other panics.</summary>
    private readonly HashSet<string> _foreign = [];
    private IPartFinder? _finder;
    private IActorTimer? _timer;
    private long _searchUs;

    protected override void PreStart() => setup.Metrics.ObserveStitching();

    protected override void Receive(Message message)
    {
        if (stopping.IsCancellationRequested)
            return;
        switch (message)
        {
            case DumpReady ready:
                Add(ready.ManifestPath);
                break;
            case Begin:
            case Look when Context.NowUs >= _searchUs:
                Search();
                break;
        }

        try
        {
            if (_awaiting.Values.Where(dump => dump.NotBeforeUs <= Context.NowUs).MinBy(dump => dump.NotBeforeUs) is { } due)
                Stitch(due);
            if (Context.NowUs >= _given.DueUs)
                _given.NoteWholes(Finder, Context.NowUs, stopping);
        }
        finally
        {
            // Whatever comes of one dump, the others have their turn.
            setup.Metrics.AwaitsParts(_awaiting.Values.Count(dump => dump is { IsPart: true, IsLate: false }));
            Arm();
        }
    }

    private void Arm()
    {
        _timer ??= Context.CreateTimer(new Look());
        long dueUs = _awaiting.Values.Select(dump => dump.NotBeforeUs).Append(_searchUs == 0 ? long.MaxValue : _searchUs).Append(_given.DueUs).Min();
        _timer.Arm(Math.Max(Context.NowUs, dueUs));
    }

    protected override void PostStop(Exception? failure)
    {
        _timer?.Arm(long.MaxValue);
        (_finder as IDisposable)?.Dispose();
    }

    private void Search()
    {
        _searchUs = Context.NowUs + SearchEveryUs;
        try
        {
            foreach (var dump in DumpCatalog.Read(setup.Root).Dumps)
                Add(dump, Context.NowUs + FirstRestUs);
        }
        catch (StorageException e)
        {
            CollectorLog.LeftAsItIs(setup.Logger, e.Message);
        }
    }

    private void Add(string manifestPath)
    {
        try
        {
            Add(new(manifestPath, ManifestFile.Read(manifestPath)), Context.NowUs);
        }
        catch (StorageException)
        {
            // Deleted meanwhile, or found by the next search.
        }
    }

    private void Add(CatalogedDump dump, long notBeforeUs)
    {
        if (DumpStitching.IsWanted(dump.Manifest) && !_foreign.Contains(dump.Manifest.Id))
            _ = _awaiting.TryAdd(dump.Manifest.Id, new(dump.ManifestPath, notBeforeUs));
        _given.Add(dump, Context.NowUs);
    }

    private IPartFinder Finder() => _finder ??= setup.Open();

    internal static Manifest? TryRead(string manifestPath)
    {
        try
        {
            return ManifestFile.Read(manifestPath);
        }
        catch (StorageException)
        {
            return null;
        }
    }

    private void Stitch(Awaiting dump)
    {
        // Deleted; what only cannot be read now is found by the next search.
        if (TryRead(dump.ManifestPath) is not { } manifest || !DumpStitching.IsWanted(manifest))
        {
            Forget(dump);
            return;
        }

        string? problem;
        long fetched = 0;
        var outcome = StitchOutcome.Lacking;
        ulong coveredBytes = manifest.CoveredBytes;
        dump.IsPart |= manifest is { Continues: not null } or { Stitching: true };
        try
        {
            using var found = Finder().Find(manifest, stopping);
            problem = found.Problem;
            dump.IsPart |= found.IsKnown;
            // A dump that is only incomplete, of which nobody else knows.
            if (!dump.IsPart)
            {
                Forget(dump);
                return;
            }

            outcome = new DumpStitching(setup.Root, setup.Node, bytes =>
            {
                fetched += bytes;
                setup.Metrics.PartFetched(bytes);
            })
            {
                Headroom = setup.Headroom,
            }.Run(dump.ManifestPath, found.Parts, stopping, out manifest);
            problem ??= outcome == StitchOutcome.Busy ? "it is being uploaded, or another process has it" : "the other parts do not have all that is missing either";
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The next start goes on.
            return;
        }
        catch (Exception e)
        {
            problem = e.Message;
            if (e is ForeignPartException)
            {
                outcome = StitchOutcome.NotWanted;
                _foreign.Add(manifest.Id);
                CollectorLog.NotStitched(setup.Logger, FileOf(dump, manifest), manifest.Id, problem);
            }

            manifest = TryRead(dump.ManifestPath) ?? manifest;
        }

        // What was written and not noted, or could not be, is no progress: it would be fetched again and again.
        bool hasProgress = manifest.CoveredBytes > coveredBytes;
        OnTried(dump, manifest, hasProgress || outcome == StitchOutcome.Whole, fetched);
        if (outcome is StitchOutcome.Whole or StitchOutcome.NotWanted)
        {
            Forget(dump);
            return;
        }

        // Each trouble is told of once, and none where a dump is only incomplete, as far as is known.
        bool isLate = setup.Time.GetUtcNow() - manifest.EndedAt >= DumpStitching.Patience;
        if (dump.IsPart && isLate && !dump.IsLate)
            CollectorLog.PartsDidNotCome(setup.Logger, FileOf(dump, manifest), manifest.Id, DumpStitching.Patience.TotalHours, problem);
        else if (dump.IsPart && problem != dump.Problem)
            CollectorLog.AwaitsParts(setup.Logger, FileOf(dump, manifest), manifest.Id, problem);
        (dump.Problem, dump.IsLate) = (problem, isLate);
        dump.Rest(Context.NowUs, hasProgress);
    }

    private void OnTried(Awaiting dump, Manifest manifest, bool hasChanged, long fetched)
    {
        string file = FileOf(dump, manifest);
        if (hasChanged && manifest.Status != DumpStatus.Incomplete)
        {
            setup.Metrics.DumpStitched();
            CollectorLog.Stitched(setup.Logger, file, manifest.Id, manifest.Status, fetched);
            if (Ipv4.TryParse(manifest.Client, out var client))
            {
                setup.Metrics.Events.Publish(new DumpEnded(manifest.EndedAt, manifest.Id, client, manifest.Host, manifest.Status, manifest.Reason, manifest.Bytes, manifest.MissingBytes, manifest.Kdh?.PanicString, file,
                    manifest.DurationSeconds));
            }
        }

        // Also where nothing came: the file was written to, or the hash was left because it was about to be.
        bool isUnhashed = manifest is { HashState: HashState.Pending, Stitching: false };
        if (isUnhashed)
            setup.Hashes?.Tell(new HashActor.HashDump(dump.ManifestPath));
        if (hasChanged || isUnhashed)
            setup.Store?.Tell(new StoreActor.DumpReady(dump.ManifestPath));
    }

    private string FileOf(Awaiting dump, Manifest manifest) => Path.GetRelativePath(setup.Root, new CatalogedDump(dump.ManifestPath, manifest).VmcorePath);

    private void Forget(Awaiting dump) => _ = _awaiting.Remove(_awaiting.First(one => one.Value == dump).Key);

    /// <summary>A dump that lacks something.</summary>
    /// <param name="manifestPath">Its manifest.</param>
    /// <param name="notBeforeUs">When its parts are asked for; a server that has just started has not reached the catalogue yet.</param>
    private sealed class Awaiting(string manifestPath, long notBeforeUs)
    {
        private long _restUs = FirstRestUs;

        public string ManifestPath => manifestPath;

        public long NotBeforeUs { get; private set; } = notBeforeUs;

        /// <summary>Others have parts of it, or had.</summary>
        public bool IsPart { get; set; }

        public string? Problem { get; set; }

        /// <summary>It is told of as incomplete, and the others hardly come any more.</summary>
        public bool IsLate { get; set; }

        public void Rest(long nowUs, bool hasProgress)
        {
            _restUs = hasProgress ? FirstRestUs : IsLate ? LateRestUs : Math.Min(2 * _restUs, MostRestUs);
            NotBeforeUs = nowUs + _restUs;
        }
    }
}
