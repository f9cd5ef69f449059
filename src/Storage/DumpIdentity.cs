using System.Globalization;
using System.Security.Cryptography;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>What tells one dump from every other, from its herald on.</summary>
/// <param name="Id">Unique, sorts by time, safe in file names; see <see cref="DumpId"/>.</param>
/// <param name="Client">The host that dumps.</param>
/// <param name="StartedAt">When its herald came.</param>
public sealed record DumpIdentity(string Id, Ipv4 Client, DateTimeOffset StartedAt);

/// <summary>Makes ids of dumps.</summary>
public static class DumpId
{
    /// <summary>The second in UTC and 32 random bits: <c>20261121T013940Z-5f3a9c1e</c>.</summary>
    public static string New(DateTimeOffset now) =>
        string.Create(CultureInfo.InvariantCulture, $"{now.UtcDateTime:yyyyMMdd'T'HHmmss'Z'}-{RandomNumberGenerator.GetHexString(8, lowercase: true)}");
}
