namespace NetdumpCollector.Protocol.Storm;

/// <summary>Decides, once per dump, how much of it is stored, so that a bug that panics a whole fleet can neither fill the disk nor keep the hosts from rebooting.</summary>
/// <remarks>
/// With <see cref="KeepKind.Auto"/> it counts dumps by <see cref="PanicSignature"/>. A message's hour begins with its first dump and the next with the first dump after
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

    /// <summary>Decides about one dump.</summary>
    /// <param name="message">Its panic message, or null where it cannot be read: such a dump is stored whole.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public KeepDecision Decide(string? message, long nowUs)
    {
        if (policy.Kind == KeepKind.Full)
            return KeepDecision.Full;
        if (policy.Kind == KeepKind.Head)
            return new((ulong)policy.HeadBytes, 0);
        if (message is null)
            return KeepDecision.Full;

        int count = Count(PanicSignature.Of(message), nowUs);
        return new(count <= policy.FullPerHour ? null : (ulong)policy.HeadBytes, count);
    }

    private int Count(string signature, long nowUs)
    {
        lock (_counting)
        {
            if (!_hours.TryGetValue(signature, out var hour) || nowUs - hour.StartUs >= HourUs)
            {
                if (!_hours.ContainsKey(signature) && _hours.Count >= MaxMessages)
                    _hours.Remove(_hours.MinBy(entry => entry.Value.StartUs).Key);
                hour = new(nowUs, 0);
            }

            hour = hour with { Dumps = hour.Dumps == int.MaxValue ? int.MaxValue : hour.Dumps + 1 };
            _hours[signature] = hour;
            return hour.Dumps;
        }
    }

    private readonly record struct Hour(long StartUs, int Dumps);
}
