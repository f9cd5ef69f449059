namespace NetdumpCollector.Actors.Runtime;

/// <summary>State that only its own messages change, one at a time, on its dispatcher.</summary>
public abstract class Actor<TMessage>
    where TMessage : class
{
    private ActorCell<TMessage>? _cell;

    /// <summary>Address, clock, timers and children; not available in the constructor.</summary>
    protected ActorCell<TMessage> Context => _cell ?? throw new InvalidOperationException($"{GetType().Name} is not started");

    protected ActorRef<TMessage> Self => Context.Ref;

    internal void Attach(ActorCell<TMessage> cell) => _cell = cell;

    internal void Dispatch(TMessage message) => Receive(message);

    internal void Start() => PreStart();

    internal void Finish(Exception? failure) => PostStop(failure);

    /// <summary>Handles one message.</summary>
    protected abstract void Receive(TMessage message);

    /// <summary>Runs before the first message.</summary>
    protected virtual void PreStart()
    {
    }

    /// <summary>Runs after the last message and after all children stopped.</summary>
    /// <param name="failure">What the actor failed with, null when it was stopped or stopped itself.</param>
    protected virtual void PostStop(Exception? failure)
    {
    }
}
