using System.Globalization;

namespace NetdumpCollector.Telemetry;

/// <summary>UDP counters of the whole machine (its network namespace).</summary>
/// <param name="ChecksumErrors">Datagrams whose checksum was wrong: kernels whose netdump reuses a buffer that the card still sends from leave no other trace.</param>
/// <param name="ReceiveBufferErrors">Datagrams that came to a full receive buffer.</param>
/// <remarks>Source: /proc/net/snmp; protocol.md, "Three kernel bugs".</remarks>
public readonly record struct HostUdp(long ChecksumErrors, long ReceiveBufferErrors)
{
    private const string Path = "/proc/net/snmp";

    /// <summary>The counters now; null where the system does not tell.</summary>
    public static HostUdp? Read()
    {
        try
        {
            return Parse(File.ReadLines(Path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Reads the two lines that begin with "Udp:": names, then values.</summary>
    internal static HostUdp? Parse(IEnumerable<string> lines)
    {
        string[][] udp = [.. lines.Where(line => line.StartsWith("Udp:", StringComparison.Ordinal)).Take(2).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))];
        return udp.Length == 2 && Value("InCsumErrors") is long checksums && Value("RcvbufErrors") is long buffers ? new(checksums, buffers) : null;

        long? Value(string name)
        {
            int at = Array.IndexOf(udp[0], name);
            return at > 0 && at < udp[1].Length && long.TryParse(udp[1][at], NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : null;
        }
    }
}
