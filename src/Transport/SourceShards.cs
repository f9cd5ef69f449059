using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport;

/// <summary>Which of several sockets on one port gets what a host sends.</summary>
public static class SourceShards
{
    /// <summary>2^32 divided by the golden ratio: multiplied by it, neighbouring addresses end up far from each other (Knuth, "The Art of Computer Programming" 6.4).</summary>
    internal const uint Multiplier = 0x9E3779B1;

    /// <summary>The shard of <paramref name="remote"/>, from 0 to below <paramref name="shards"/>; the kernel computes the same for each datagram.</summary>
    /// <param name="remote">Where the datagram comes from.</param>
    /// <param name="shards">From 1 to 65535.</param>
    public static int ShardOf(Ipv4 remote, int shards)
    {
        uint hash = unchecked(remote.Value * Multiplier);
        return (int)((hash >> 16) * (uint)shards >> 16);
    }
}
