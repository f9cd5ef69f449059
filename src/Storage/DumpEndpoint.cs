using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>Both ends of a dump's transfer: what the next process needs to go on answering.</summary>
/// <param name="Local">The server's address that the client sends to.</param>
/// <param name="LocalPort">The server's port that the client sends to.</param>
/// <param name="RemotePort">Port the client sends from, where that tells clients apart (served from the herald port); 0 where the dump has a port of its own.</param>
/// <param name="AckPort">The client's port that acks go to.</param>
/// <param name="HeraldSeqno">Seqno of the herald.</param>
public readonly record struct DumpEndpoint(Ipv4 Local, ushort LocalPort, ushort RemotePort, ushort AckPort, uint HeraldSeqno);
