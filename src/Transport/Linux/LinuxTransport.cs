namespace NetdumpCollector.Transport.Linux;

/// <summary>Batched system calls: epoll, recvmmsg with UDP_GRO, acks as one sendmsg with UDP_SEGMENT.</summary>
internal sealed class LinuxTransport : ITransport
{
    public string Name => "linux";

    public bool CanShard => true;

    /// <exception cref="EndpointException">No descriptor is left for the loop.</exception>
    public IEventLoop CreateLoop(string name, Action<Exception> onError) => new LinuxEventLoop(name, onError);
}
