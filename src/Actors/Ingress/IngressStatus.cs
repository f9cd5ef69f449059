using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>What one event loop's ingress has.</summary>
/// <param name="Sessions">All its sessions, those that linger included.</param>
/// <param name="HeraldDrops">Datagrams that the kernel dropped at its herald socket.</param>
/// <param name="Waiting">Messages in its mailbox.</param>
public sealed record IngressStatus(IReadOnlyList<SessionStatus> Sessions, long HeraldDrops, int Waiting);
