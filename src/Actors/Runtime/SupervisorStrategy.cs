namespace NetdumpCollector.Actors.Runtime;

/// <summary>What happens to an actor whose <see cref="Actor{TMessage}.Receive"/> threw.</summary>
public enum SupervisorDirective
{
    /// <summary>The message is lost, the actor goes on with its state.</summary>
    Resume,

    /// <summary>A new instance takes over address and mailbox.</summary>
    Restart,

    /// <summary>The actor stops.</summary>
    Stop,

    /// <summary>The parent fails with the same exception.</summary>
    Escalate,
}

/// <summary>A parent's decision for the failures of a child; pure, so it is made where the child runs.</summary>
/// <param name="Decide">Maps a failure to a directive.</param>
/// <param name="MaxFailures">More failures than this within <paramref name="WindowUs"/> stop the child whatever is decided.</param>
/// <param name="WindowUs">Length of the window in microseconds.</param>
public sealed record SupervisorStrategy(Func<Exception, SupervisorDirective> Decide, int MaxFailures = 10, long WindowUs = 60_000_000)
{
    public static SupervisorStrategy Stop { get; } = new(static _ => SupervisorDirective.Stop);
    public static SupervisorStrategy Resume { get; } = new(static _ => SupervisorDirective.Resume, MaxFailures: int.MaxValue);
    public static SupervisorStrategy Restart { get; } = new(static _ => SupervisorDirective.Restart);
    public static SupervisorStrategy Escalate { get; } = new(static _ => SupervisorDirective.Escalate);
}
