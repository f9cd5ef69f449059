using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>Counts how often each fault really happened, so that a simulation that stopped biting is noticed.</summary>
internal sealed class FaultCoverage
{
    private readonly SortedDictionary<string, long> _counts = new(StringComparer.Ordinal);

    private FaultCoverage()
    {
    }

    /// <summary>All faults that a full run must have met, each at zero.</summary>
    public static FaultCoverage Zero()
    {
        var coverage = new FaultCoverage();
        for (int low = 0; low < 14; low++)
        {
            coverage._counts[AliasLow(low)] = 0;
            coverage._counts[AliasHigh(low)] = 0;
            coverage._counts[AliasBoth(low)] = 0;
        }

        foreach (string fault in s_required)
            coverage._counts[fault] = 0;
        return coverage;
    }

    public const string TailLostOnce = "tail lost once";
    public const string TailLostTwice = "tail lost twice";
    public const string HeadLost = "head lost";
    public const string WholeBurstLost = "whole burst lost";
    public const string RetransmissionOverlapsLatePacket = "retransmission overtook a late packet";
    public const string FullLengthEnding = "burst ended with a full packet (MTU 1460)";
    public const string Era12 = "12-era order, complete";
    public const string Era12WithKey = "12-era order with key, complete";
    public const string Era13WithKey = "13-era order with key, complete";
    public const string HeraldRepeated = "herald repeated before data";
    public const string HeraldLate = "herald arrived after data";
    public const string HeraldInPieces = "herald path in several packets";
    public const string Duplicated = "packet duplicated";
    public const string Reordered = "packet overtook another";
    public const string ClientDied = "client died";
    public const string NoSpace = "store failed for lack of space";
    public const string DiskStalled = "disk stalled";
    public const string TickedWhileStoring = "tick while a batch was being stored";
    public const string QueueCorruption = "buffer reused under queued packets (bug 2)";
    public const string FirstBurstElsewhere = "first burst at a stale offset, complete (bug 3)";
    public const string StaleBurstFirst = "stale burst first, complete (bug 3)";
    public const string StaleBeyondEnd = "stale offset beyond the dump's end, complete (bug 3)";
    public const string NoFinished = "kernel without FINISHED, complete";
    public const string NetdumpClient = "netdump-client, ended well";
    public const string OnePacketClient = "one-packet client with a kernel's herald, ended well";
    public const string HealedInTime = "network healed while the client still tried";
    public const string GaveUp = "client gave up";
    public const string Incomplete = "dump with holes, reported so";
    public const string EndMisjudged = "end of a burst guessed too early, hole reported";
    public const string AcksLost = "acks of a whole burst lost";
    public const string Paused = "kernel paused between bursts";

    public const string Killed = "server killed";
    public const string MachineCrashed = "machine crashed";
    public const string LongAway = "server away for more than 7 s";
    public const string CrashLostBytes = "crash of the machine took back bytes";
    public const string KilledInCommit = "killed in mid-commit";
    public const string KilledInCheckpoint = "killed in mid-checkpoint";
    public const string KilledBeforeSave = "killed between storing and saving";
    public const string KilledAfterHeader = "killed between header and FINISHED";
    public const string StateTorn = "killed while the state was written";
    public const string Restored = "session restored";
    public const string RestoredWithoutState = "session restored before its first save";
    public const string ToldByLength = "acked without a save, told by the file's length";
    public const string SavedWithoutLength = "saved before a write elsewhere than at the file's end";
    public const string RestoredByLength = "session restored further than its saved state";
    public const string HeraldRestored = "half-open session restored";
    public const string HeraldForgotten = "herald answered and forgotten";
    public const string Checkpointed = "checkpoint taken";
    public const string SyncFailed = "fsync failed";
    public const string SyncLostBytes = "failed fsync lost bytes";
    public const string WriteFailed = "write failed with EIO";
    public const string SaveFailed = "state could not be saved";
    public const string CommitFailed = "commit failed and was tried again";
    public const string Storm = "several clients at once";
    public const string CompleteAfterKills = "complete and identical after three kills or more";
    public const string CompleteAfterCrash = "complete after a crash of the machine";
    public const string UnverifiedReported = "unverified bytes reported";
    public const string RelocatedAfterKill = "first burst relocated after a kill (bug 3)";

    public static string KilledIn(SessionPhase phase) => $"killed while {phase}";

    /// <summary>All faults that runs with restarts must have met, each at zero.</summary>
    public static FaultCoverage ZeroOfRestarts()
    {
        var coverage = new FaultCoverage();
        foreach (string fault in s_requiredOfRestarts)
            coverage._counts[fault] = 0;
        return coverage;
    }

    /// <summary>Counts nothing that must be met.</summary>
    public static FaultCoverage Empty() => new();

    private static readonly string[] s_requiredOfRestarts =
    [
        Killed, MachineCrashed, LongAway, CrashLostBytes, KilledInCommit, KilledInCheckpoint, KilledBeforeSave, KilledAfterHeader, StateTorn, Restored, RestoredWithoutState, ToldByLength, SavedWithoutLength, RestoredByLength,
        HeraldRestored, HeraldForgotten, Checkpointed, SyncFailed, SyncLostBytes, WriteFailed, NoSpace, SaveFailed, CommitFailed, Storm, CompleteAfterKills, CompleteAfterCrash,
        UnverifiedReported, RelocatedAfterKill, KilledIn(SessionPhase.HalfOpen), KilledIn(SessionPhase.Receiving), KilledIn(SessionPhase.Lingering),
        FirstBurstElsewhere, StaleBurstFirst, NoFinished, Era12, Era12WithKey, Era13WithKey, HeraldInPieces, CompleteAt(576), CompleteAt(1460), CompleteAt(1500), CompleteAt(9000),
    ];

    private static readonly string[] s_required =
    [
        TailLostOnce, TailLostTwice, HeadLost, WholeBurstLost, RetransmissionOverlapsLatePacket, FullLengthEnding, Era12, Era12WithKey, Era13WithKey,
        HeraldRepeated, HeraldLate, HeraldInPieces, Duplicated, Reordered, ClientDied, NoSpace, DiskStalled, TickedWhileStoring, QueueCorruption,
        FirstBurstElsewhere, StaleBurstFirst, StaleBeyondEnd, NoFinished, NetdumpClient, OnePacketClient, HealedInTime, GaveUp, Incomplete, AcksLost,
        Paused, EndMisjudged, CompleteAt(576), CompleteAt(1460), CompleteAt(1500), CompleteAt(9000),
    ];

    public static string AliasLow(int low) => $"alias pair ({low}, {low + 32}): only {low} lost";
    public static string AliasHigh(int low) => $"alias pair ({low}, {low + 32}): only {low + 32} lost";
    public static string AliasBoth(int low) => $"alias pair ({low}, {low + 32}): both lost";
    public static string CompleteAt(int mtu) => $"MTU {mtu}, complete";

    public IEnumerable<string> Missed => _counts.Where(c => c.Value == 0).Select(c => c.Key);

    public void Count(string fault) => _counts[fault] = _counts.GetValueOrDefault(fault) + 1;

    public void Add(FaultCoverage other)
    {
        foreach (var (fault, count) in other._counts)
            _counts[fault] = _counts.GetValueOrDefault(fault) + count;
    }

    public override string ToString() => string.Join('\n', _counts.Select(c => $"{c.Value,9}  {c.Key}"));
}
