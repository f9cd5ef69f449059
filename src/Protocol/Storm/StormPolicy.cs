using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Protocol.Storm;

/// <summary>Decides, once per dump, how much of it is stored, so that a bug that panics a whole fleet can neither fill the disk nor keep the hosts from rebooting.</summary>
/// <remarks>
/// With <see cref="KeepKind.Auto"/> it counts whole dumps by <see cref="PanicSignature"/>. A message's hour begins with its first dump and the next with the first dump after
/// it, so that a bug that stays gives a few whole dumps every hour. What it counts is forgotten when the process ends: then at most that many more are stored.
/// No more than <see cref="MaxMessages"/> messages are remembered; beyond that the one whose hour began first goes. Safe for use by many threads.
/// </remarks>
public sealed class StormPolicy(KeepPolicy policy)
{
    public const int MaxMessages = 1024;

    public const long HourUs = 3_600_000_000;

    private readonly Lock _counting = new();
    private readonly Dictionary<string, Hour> _hours = [];

    public KeepPolicy Policy => policy;

    /// <summary>The decision depends on the panic message, so it is worth looking for.</summary>
    public bool WantsMessage => policy.Kind == KeepKind.Auto;

    /// <summary>What looking for messages may take of memory.</summary>
    public PeekMemory PeekMemory { get; } = new();

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
                _hours[slot.Signature] = hour with { WholeDumps = hour.WholeDumps - 1 };
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

            bool hasSlot = hour.WholeDumps < policy.FullPerHour;
            _hours[signature] = hasSlot ? hour with { WholeDumps = hour.WholeDumps + 1 } : hour;
            return hasSlot ? new(signature, hour.StartUs) : null;
        }
    }

    private readonly record struct Hour(long StartUs, int WholeDumps);
}
