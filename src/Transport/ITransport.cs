namespace NetdumpCollector.Transport;

/// <summary>Makes event loops of one kind.</summary>
public interface ITransport
{
    /// <summary>What this kind is called in settings and logs.</summary>
    string Name { get; }

    /// <summary>Sockets of several loops can share a port (<see cref="EndpointOptions.Shards"/>).</summary>
    bool CanShard { get; }

    /// <summary>Makes a loop that is not started yet; <paramref name="onError"/> gets what receivers, timers and work items throw.</summary>
    IEventLoop CreateLoop(string name, Action<Exception> onError);
}
