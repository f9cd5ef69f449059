using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>Both ends of a session: where its packets come from and go to.</summary>
/// <param name="Local">The address the client dumps to; acks must come from it.</param>
/// <param name="Remote">The client.</param>
/// <param name="RemotePort">The client's port where that tells clients apart; 0 for a session with a port of its own.</param>
/// <param name="AckPort">Client port that acks go to: the well-known one, or behind NAT the one its packets come from.</param>
public readonly record struct ClientAddress(Ipv4 Local, Ipv4 Remote, ushort RemotePort, ushort AckPort);
