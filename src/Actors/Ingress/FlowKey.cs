using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>What tells a client's packets apart: in shared mode both addresses and the client's port, in ephemeral mode its address alone.</summary>
internal readonly record struct FlowKey(Ipv4 Local, Ipv4 Remote, ushort RemotePort)
{
    /// <summary>The client as a host, for sessions with a port of their own.</summary>
    public static FlowKey OfHost(Ipv4 remote) => new(Ipv4.Any, remote, 0);
}
