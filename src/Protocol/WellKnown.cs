namespace NetdumpCollector.Protocol;

/// <summary>Numbers both ends of the wire agree on.</summary>
/// <remarks>Source: protocol.md, "Addresses and ports" and "Rhythm"; FreeBSD sys/net/debugnet.h.</remarks>
public static class WellKnown
{
    /// <summary>UDP port a herald is sent to.</summary>
    public const ushort HeraldPort = 20023;

    /// <summary>UDP port of the client, where acks go.</summary>
    public const ushort ClientPort = 20024;

    /// <summary>Bytes the kernel hands to one burst at most.</summary>
    public const int BurstBytes = 65536;

    /// <summary>Kernel bursts are multiples of this many bytes.</summary>
    public const int PageBytes = 4096;

    /// <summary>Packets of one burst that share one bit of the kernel's ack bitmap are this far apart.</summary>
    public const int AckBitmapBits = 32;

    /// <summary>Acks this far above a burst's first seqno are ignored by the kernel, with a console line.</summary>
    public const int AckWindow = 64;

    /// <summary>Size of an ack datagram: one big-endian seqno.</summary>
    public const int AckBytes = 4;
}
