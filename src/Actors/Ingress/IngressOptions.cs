using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>How sessions are answered.</summary>
public enum EndpointMode
{
    /// <summary>Each session from a port of its own, as netdumpd does.</summary>
    Ephemeral,

    /// <summary>All from the herald port: the way through NAT, a Kubernetes Service or a virtual address.</summary>
    Shared,
}

/// <summary>Where the collector listens and how it answers.</summary>
public sealed record IngressOptions
{
    public Ipv4 Address { get; init; } = Ipv4.Any;
    public ushort HeraldPort { get; init; } = WellKnown.HeraldPort;
    public ushort ClientPort { get; init; } = WellKnown.ClientPort;
    public EndpointMode Mode { get; init; } = EndpointMode.Ephemeral;

    /// <summary>First and last port of sessions with a port of their own; outside the system's ephemeral range, so that nobody else takes them.</summary>
    public (ushort From, ushort To) SessionPorts { get; init; } = (20100, 28999);

    /// <summary>Dumps that receive at one time; of more neither herald nor data is answered.</summary>
    public int MaxSessions { get; init; } = 4096;

    /// <summary>Dumps whose files are open at one time, also those that are being made durable; more are not begun, so that those have the descriptors for it.</summary>
    public int MaxOpenDumps { get; init; } = int.MaxValue;

    /// <summary>Ended dumps that keep their ledgers open, so that the next process would answer a repeated FINISHED too; of more only this one does.</summary>
    public int MaxLingeringLedgers { get; init; } = int.MaxValue;

    /// <summary>Heralds that nothing has followed yet; beyond that the oldest is forgotten for each new one, so that a storm of spoofed heralds locks nobody out. Each loop has its share.</summary>
    public int MaxHalfOpen { get; init; } = 4096;

    /// <summary>Sessions with a socket of their own; more are served from the herald port, which costs no descriptor.</summary>
    public int MaxOwnEndpoints { get; init; } = int.MaxValue;

    /// <summary>Whose heralds are answered; for all loops together.</summary>
    public AdmissionOptions Admission { get; init; } = new();

    /// <summary>Receive buffer of the herald socket in shared mode, in bytes: it holds the bursts of all clients.</summary>
    public int SharedBufferBytes { get; init; } = 64 << 20;

    /// <summary>Receive buffer of the herald socket in ephemeral mode, in bytes: room for thousands of heralds at once.</summary>
    public int HeraldBufferBytes { get; init; } = 8 << 20;

    /// <summary>Receive buffer of a session's own socket, in bytes: several bursts.</summary>
    public int SessionBufferBytes { get; init; } = 1 << 20;
}
