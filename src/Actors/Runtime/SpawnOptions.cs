namespace NetdumpCollector.Actors.Runtime;

/// <summary>How an actor is started.</summary>
public sealed record SpawnOptions
{
    public static SpawnOptions Default { get; } = new();

    /// <summary>Messages that may wait; more are refused.</summary>
    public int MailboxCapacity { get; init; } = 256;

    /// <summary>What happens when the actor fails.</summary>
    public SupervisorStrategy Strategy { get; init; } = SupervisorStrategy.Stop;

    /// <summary>Called on the actor's dispatcher after it stopped, with its failure if it had one; for telling the parent.</summary>
    public Action<Exception?>? OnStopped { get; init; }
}
