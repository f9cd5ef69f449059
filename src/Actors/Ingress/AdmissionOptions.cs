using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Whose dumps are taken, and how many.</summary>
public sealed record AdmissionOptions
{
    /// <summary>Hosts behind one address have it in common, so an address can have as many dumps as a network.</summary>
    public const int DefaultDumpsPerNetwork = 6000;

    /// <summary>A host that panics again as soon as it is up makes a dump a minute.</summary>
    public const int DefaultDumpsPerSource = 60;

    /// <summary>The only networks that are served; all when empty.</summary>
    public Ipv4Networks Allowed { get; init; } = Ipv4Networks.None;

    /// <summary>Networks that are not served, not even when they are allowed.</summary>
    public Ipv4Networks Denied { get; init; } = Ipv4Networks.None;

    /// <summary>New dumps of one address, at once and per minute.</summary>
    public int DumpsPerSource { get; init; } = DefaultDumpsPerSource;

    /// <summary>New dumps of one /24 network, at once and per minute.</summary>
    public int DumpsPerNetwork { get; init; } = DefaultDumpsPerNetwork;

    /// <summary>Sockets of heralds that nothing has followed yet; beyond that heralds are answered from the herald port, which costs no descriptor.</summary>
    public int MaxHalfOpenEndpoints { get; init; } = 1024;
}
