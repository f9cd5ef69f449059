using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>What tells one dump from every other, from its herald on.</summary>
/// <param name="Id">Unique, sorts by time, safe in file names; see <see cref="DumpId"/>.</param>
/// <param name="Client">The host that dumps.</param>
/// <param name="StartedAt">When its herald came.</param>
public sealed record DumpIdentity(string Id, Ipv4 Client, DateTimeOffset StartedAt)
{
    /// <summary>The dump that it goes on with, of which the rest lies elsewhere; null for one that began here.</summary>
    public DumpContinuation? Continues { get; init; }
}

/// <summary>What a dump goes on with that another node began: each is a part of one dump, and they are stitched together when all have ended.</summary>
/// <param name="Id">The id of the part that began with the herald.</param>
/// <param name="Node">The node that had the dump before.</param>
/// <param name="Epoch">How many nodes had it before.</param>
public sealed record DumpContinuation(string Id, string Node, int Epoch)
{
    /// <summary>How many nodes have had a dump, with the one that has this part.</summary>
    public static int EpochOf(DumpContinuation? continues) => (continues?.Epoch ?? 0) + 1;
}

/// <summary>A whole dump that has everything of a part, and the part's bytes among it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Node">The node that has it.</param>
public sealed record DumpWhole(string Id, string Node);

/// <summary>Makes ids of dumps.</summary>
public static class DumpId
{
    /// <summary>The second in UTC and 32 random bits: <c>20261121T013940Z-5f3a9c1e</c>.</summary>
    public static string New(DateTimeOffset now) =>
        At(now, RandomNumberGenerator.GetHexString(8, lowercase: true));

    /// <summary>The same for the same herald on every node that knows of it, so that only one of them can begin its dump: the second in UTC and 32 bits of a hash.</summary>
    public static string Of(DateTimeOffset heraldAt, Ipv4 client)
    {
        Span<byte> herald = stackalloc byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(herald, heraldAt.UtcTicks);
        BinaryPrimitives.WriteUInt32LittleEndian(herald[8..], client.Value);
        return At(heraldAt, Convert.ToHexStringLower(SHA256.HashData(herald).AsSpan(0, 4)));
    }

    private static string At(DateTimeOffset time, string suffix) => string.Create(CultureInfo.InvariantCulture, $"{time.UtcDateTime:yyyyMMdd'T'HHmmss'Z'}-{suffix}");
}
