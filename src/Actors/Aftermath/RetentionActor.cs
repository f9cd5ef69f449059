using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Native;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Aftermath;

/// <summary>Deletes the dumps that retention does not keep, and on request those whose room a new one needs.</summary>
public sealed class RetentionActor(RetentionSetup setup, TimeProvider time, CollectorMetrics metrics, ILogger logger, CancellationToken stopping) : Actor<RetentionActor.Message>
{
    public abstract record Message;

    /// <summary>Begins to look after the dumps, and after deletions that somebody began and did not finish.</summary>
    public sealed record Begin : Message;

    /// <summary>A dump stands under its final names, so older ones may have to go.</summary>
    public sealed record DumpCommitted : Message;

    /// <summary>A dump that would lie in <paramref name="Directory"/> waits for room there.</summary>
    public sealed record MakeRoom(string Directory) : Message;

    private sealed record Look : Message;

    private const long LookEveryUs = 600_000_000;

    /// <summary>A committed dump is followed by a look this much later (1 s), so that a storm of them is followed by few.</summary>
    private const long LookSoonUs = 1_000_000;

    /// <summary>Looks take at most this part of the time, as each reads every manifest.</summary>
    private const int LeastRest = 10;

    /// <summary>The client of a committed dump is still answered for a while, and until then the dump stays; then comes another look (30 s).</summary>
    private const long LookAgainUs = 30_000_000;

    private readonly RetentionProblems _unfinished = new(problem => CollectorLog.DeletionFailed(logger, problem));
    private readonly RetentionProblems _unseen = new(problem => CollectorLog.RetentionIsBlind(logger, problem));
    private RoomMaking? _room;
    private IActorTimer? _timer;
    private long _dueUs = long.MaxValue;
    private bool _looksAgain;
    private long _lastTookUs;
    private string? _roomlessDirectory;
    private long _roomlessUs;

    protected override void Receive(Message message)
    {
        if (stopping.IsCancellationRequested)
            return;

        try
        {
            switch (message)
            {
                case Begin or Look:
                    LookAfterDumps();
                    break;
                case DumpCommitted when !setup.Policy.IsOff:
                    _looksAgain = true;
                    Arm(Math.Max(LookSoonUs, _lastTookUs * LeastRest));
                    break;
                case MakeRoom room:
                    MakeRoomIn(room.Directory);
                    break;
            }
        }
        catch (StorageException e)
        {
            CollectorLog.DeletionFailed(logger, e.Message);
        }
    }

    private void LookAfterDumps()
    {
        _dueUs = long.MaxValue;
        long startedUs = Context.NowUs;
        bool looksAgain = _looksAgain;
        _looksAgain = false;
        try
        {
            var problems = new List<string>();
            DumpRemoval.FinishInterrupted(setup.Root, problems.Add);
            _unfinished.Report(problems);
            if (!setup.Policy.IsOff)
                ApplyPolicy();
        }
        finally
        {
            _lastTookUs = Context.NowUs - startedUs;
            Arm(looksAgain ? LookAgainUs : LookEveryUs);
        }
    }

    /// <summary>Only reading waits for everything else: while a dump is deleted others wait for the lock on its directory.</summary>
    private void ApplyPolicy()
    {
        var now = time.GetUtcNow();
        var catalog = BackgroundPriority.Run(ReadCatalog);
        Report(DumpRetention.Carry(RetentionPlanner.Plan(RetentionCandidate.Of(catalog, now, setup.Needs), setup.Policy, now), now, setup.Needs));
    }

    private DumpCatalog ReadCatalog()
    {
        var catalog = DumpCatalog.Read(setup.Root);
        _unseen.Report(catalog.Problems.Select(problem => $"{problem.Path}: {problem.Reason}"));
        return catalog;
    }

    /// <summary>Each waiting client asks about once a second; where nothing could be deleted all of them together cause a few looks a second.</summary>
    private void MakeRoomIn(string directory)
    {
        if (directory == _roomlessDirectory && Context.NowUs - _roomlessUs < Math.Max(LookSoonUs / 4, _lastTookUs))
            return;

        long startedUs = Context.NowUs;
        _room ??= new(ReadCatalog, setup.Headroom, setup.Needs, time, wait => CollectorLog.RoomIsNotBack(logger, wait));
        bool madeRoom = Report(_room.MakeRoom(directory));
        _roomlessDirectory = madeRoom ? null : directory;
        _roomlessUs = Context.NowUs;
        _lastTookUs = _roomlessUs - startedUs;
    }

    /// <returns>Something was deleted.</returns>
    private bool Report(IEnumerable<RemovalResult> results)
    {
        bool removedAny = false;
        foreach (var result in results)
        {
            var dump = result.Removal.Candidate.Dump;
            if (result.IsRemoved)
            {
                removedAny = true;
                metrics.DumpDeleted(result.Removal.Candidate.Bytes);
                CollectorLog.Deleted(logger, Path.GetRelativePath(setup.Root, dump.VmcorePath), dump.Manifest.Id, result.Removal.Candidate.Bytes, result.Removal.Reason);
            }
            else if (result.Error is string error)
                CollectorLog.DeletionFailed(logger, error);
            if (stopping.IsCancellationRequested)
                break;
        }

        return removedAny;
    }

    private void Arm(long inUs)
    {
        long dueUs = Context.NowUs + inUs;
        if (dueUs >= _dueUs)
            return;

        _dueUs = dueUs;
        _timer ??= Context.CreateTimer(new Look());
        _timer.Arm(dueUs);
    }
}

/// <summary>Tells of each problem once for as long as it lasts.</summary>
internal sealed class RetentionProblems(Action<string> tell)
{
    private HashSet<string> _known = [];

    /// <summary>Takes all problems of one look.</summary>
    public void Report(IEnumerable<string> problems)
    {
        var known = problems.ToHashSet();
        foreach (string problem in known.Except(_known))
            tell(problem);
        _known = known;
    }
}

/// <summary>What retention is about.</summary>
/// <param name="Root">The dump directory.</param>
/// <param name="Policy">What is kept.</param>
/// <param name="Headroom">What must stay free.</param>
/// <param name="Needs">Who may still need dumps.</param>
public sealed record RetentionSetup(string Root, RetentionPolicy Policy, Headroom Headroom, DumpNeeds Needs);
