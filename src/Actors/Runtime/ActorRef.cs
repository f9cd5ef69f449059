namespace NetdumpCollector.Actors.Runtime;

/// <summary>Where to send an actor's messages; stays valid when the actor restarts or stops.</summary>
public sealed class ActorRef<TMessage>
    where TMessage : class
{
    private readonly ActorCell<TMessage> _cell;

    internal ActorRef(ActorCell<TMessage> cell) => _cell = cell;

    public string Path => _cell.Path;

    /// <summary>Completes when the actor has stopped.</summary>
    public Task Stopped => _cell.Stopped;

    /// <summary>Queues a message. False when the mailbox is full or the actor has stopped; the message is then a dead letter.</summary>
    public bool Tell(TMessage message) => _cell.Tell(message);

    /// <summary>Handles the message now when the caller runs on the actor's own event loop and the actor is idle and has none waiting, else queues it.</summary>
    /// <remarks>What waits is not handled here: it may be of the kind that a device holds up, and the caller is in the midst of something.</remarks>
    public bool Deliver(TMessage message) => (_cell.QueueLength == 0 && _cell.TryHandleNow(message)) || _cell.Tell(message);

    /// <summary>Handles the message now, after those that wait, or not at all: for messages whose content does not outlive the call.</summary>
    public bool TryHandleNow(TMessage message) => _cell.TryHandleNow(message);

    /// <summary>Sends a message that carries its reply address and waits for the reply.</summary>
    /// <param name="message">Makes the message.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <param name="time">The clock that tells; the system's where null.</param>
    /// <exception cref="TimeoutException">No reply came in time.</exception>
    public async Task<TReply> Ask<TReply>(Func<Reply<TReply>, TMessage> message, TimeSpan timeout, TimeProvider? time = null)
    {
        var reply = new Reply<TReply>();
        if (!Tell(message(reply)))
            throw new InvalidOperationException($"{Path} takes no messages: it has stopped or its mailbox is full");
        return await reply.Task.WaitAsync(timeout, time ?? TimeProvider.System).ConfigureAwait(false);
    }

    /// <summary>Stops the actor after the message it is at, or, with <paramref name="drain"/>, after those it has; later ones are dead letters.</summary>
    public void Stop(bool drain = false) => _cell.Stop(drain);

    public override string ToString() => Path;
}

/// <summary>Where the answer to an <see cref="ActorRef{TMessage}.Ask"/> goes.</summary>
public sealed class Reply<TReply>
{
    private readonly TaskCompletionSource<TReply> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal Task<TReply> Task => _source.Task;

    /// <summary>Answers; only the first answer counts.</summary>
    public void Send(TReply reply) => _source.TrySetResult(reply);
}
