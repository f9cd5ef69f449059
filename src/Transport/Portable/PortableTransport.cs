namespace NetdumpCollector.Transport.Portable;

/// <summary>System.Net.Sockets only, one call per datagram: for systems without the calls of the Linux transport.</summary>
internal sealed class PortableTransport : ITransport
{
    public string Name => "portable";

    public bool CanShard => false;

    /// <exception cref="EndpointException">No descriptor is left for the loop.</exception>
    public IEventLoop CreateLoop(string name, Action<Exception> onError) => new PortableEventLoop(name, onError);
}
