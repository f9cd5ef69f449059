using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Protocol.Storm;

/// <summary>Decides, once per dump, how much of it is stored, so that a bug that panics a whole fleet can neither fill the disk nor keep the hosts from rebooting.</summary>
/// <remarks>
/// With <see cref="KeepKind.Auto"/> it counts whole dumps by <see cref="PanicSignature"/>. A message's hour begins with its first dump and the next with the first dump after
/// it, so that a bug that stays gives a few whole dumps every hour. What it counts is forgotten when the process ends: then at most that many more are stored.
/// No more than <see cref="MaxMessages"/> messages are remembered; beyond that the one whose hour began first goes. Safe for use by many threads.
/// In a fleet the counts of the other nodes, as they were last heard of (<see cref="HearOf"/>), are added; nobody is asked, so that nodes which decide within the same second may store one more each.
/// </remarks>
public sealed class StormPolicy(KeepPolicy policy)
{
    public const int MaxMessages = 1024;

    public const long HourUs = 3_600_000_000;

    private readonly Lock _counting = new();
    private readonly Dictionary<string, Hour> _hours = [];
    private Dictionary<string, (int WholeDumps, long UntilUs)[]> _elsewhere = [];
    private long _changes;

    public KeepPolicy Policy => policy;

    /// <summary>The decision depends on the panic message, so it is worth looking for.</summary>
    public bool WantsMessage => policy.Kind == KeepKind.Auto;

    /// <summary>What looking for messages may take of memory.</summary>
    public PeekMemory PeekMemory { get; } = new();

    /// <summary>Changes with what <see cref="Counts"/> tells.</summary>
    public long Changes => Interlocked.Read(ref _changes);

    /// <summary>Whole dumps of each message in its hour here, and how long ago that began, in microseconds.</summary>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public IReadOnlyList<(string Signature, int WholeDumps, long AgeUs)> Counts(long nowUs)
    {
        lock (_counting)
            return [.. _hours.Where(entry => nowUs - entry.Value.StartUs < HourUs).Select(entry => (entry.Key, entry.Value.WholeDumps, nowUs - entry.Value.StartUs))];
    }

    /// <summary>What other nodes have counted, each in hours of its own; it stands for all that was heard before.</summary>
    public void HearOf(IEnumerable<(string Signature, int WholeDumps, long AgeUs)> elsewhere, long nowUs)
    {
        var heard = elsewhere.GroupBy(one => one.Signature).ToDictionary(one => one.Key, one => one.Select(count => (count.WholeDumps, nowUs - count.AgeUs + HourUs)).ToArray());
        lock (_counting)
            _elsewhere = heard;
    }

    /// <summary>Decides about one dump.</summary>
    /// <param name="message">Its panic message, or null where it cannot be read: such a dump is stored whole.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public KeepDecision Decide(string? message, long nowUs)
    {
        if (policy.Kind == KeepKind.Full)
            return KeepDecision.Full;
        if (policy.Kind == KeepKind.Head)
            return new((ulong)policy.HeadBytes, null);
        if (message is null)
            return KeepDecision.Full;

        var slot = TakeSlot(PanicSignature.Of(message), nowUs);
        return new(slot is null ? (ulong)policy.HeadBytes : null, slot);
    }

    /// <summary>A dump that was to be stored whole did not come whole: the next one with its message is, where their hour is the same.</summary>
    public void GiveBack(StormSlot slot)
    {
        lock (_counting)
        {
            if (_hours.TryGetValue(slot.Signature, out var hour) && hour.StartUs == slot.HourStartUs && hour.WholeDumps > 0)
            {
                _hours[slot.Signature] = hour with { WholeDumps = hour.WholeDumps - 1 };
                _changes++;
            }
        }
    }

    private StormSlot? TakeSlot(string signature, long nowUs)
    {
        lock (_counting)
        {
            if (!_hours.TryGetValue(signature, out var hour) || nowUs - hour.StartUs >= HourUs)
            {
                if (!_hours.ContainsKey(signature) && _hours.Count >= MaxMessages)
                    _hours.Remove(_hours.MinBy(entry => entry.Value.StartUs).Key);
                hour = new(nowUs, 0);
            }

            bool hasSlot = hour.WholeDumps + CountElsewhere(signature, nowUs) < policy.FullPerHour;
            _changes++;
            _hours[signature] = hasSlot ? hour with { WholeDumps = hour.WholeDumps + 1 } : hour;
            return hasSlot ? new(signature, hour.StartUs) : null;
        }
    }

    private int CountElsewhere(string signature, long nowUs)
    {
        int count = 0;
        foreach (var (wholeDumps, untilUs) in _elsewhere.GetValueOrDefault(signature, []))
            count += nowUs < untilUs ? wholeDumps : 0;
        return count;
    }

    private readonly record struct Hour(long StartUs, int WholeDumps);
}
