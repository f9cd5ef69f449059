using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Collector.Send;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>A made-up dump that goes through real sockets, and what came of it.</summary>
/// <param name="Route">From where to where.</param>
/// <param name="Summary">What the client saw.</param>
/// <param name="Dump">Where it was stored; null where it was not found.</param>
/// <param name="Difference">In what the stored dump is not the one that was sent; null when it is.</param>
internal sealed record SyntheticDump(string Route, SendSummary Summary, CatalogedDump? Dump, string? Difference)
{
    public const string Subject = "synthetic dump";

    /// <summary>By which people and programs know it from a real one.</summary>
    public const string Panic = "doctor: synthetic dump";
    public const string HostName = "doctor";

    private const int ChunkBytes = 1 << 20;

    /// <summary>Any of 127/8 is local; this one is no server's.</summary>
    private static readonly Ipv4 s_loopbackSource = new(0x7f100001);

    /// <summary>The client was told that all is safe, and it is.</summary>
    public bool IsGood => Summary.Failed == 0 && Difference is null;

    /// <summary>What the client measured, in words.</summary>
    public string Measured => string.Create(CultureInfo.InvariantCulture,
        $"{ByteSize.Format(Summary.Bytes)} {Route} at {Summary.MegabytesPerSecond:F0} MB/s; herald answered in {Summary.HeraldSeconds * 1000:F1} ms, slowest burst acked in {Summary.LongestBurstSeconds * 1000:F1} ms, end durable in {Summary.FinishedSeconds * 1000:F0} ms");

    /// <summary>Where a client on this machine that dumps to <paramref name="server"/> sends from.</summary>
    public static Ipv4 SourceFor(Ipv4 server) => server.Value >> 24 == 127 ? s_loopbackSource : server;

    /// <summary>Sends a dump and compares what was stored.</summary>
    /// <param name="server">A running collector's address.</param>
    /// <param name="settings">Its ports and its dump directory.</param>
    /// <param name="sizeBytes">Length of the dump.</param>
    /// <param name="onProgress">Gets the bytes that were acked.</param>
    /// <param name="stop">Ends it early.</param>
    /// <exception cref="EndpointException">The client's port cannot be had.</exception>
    public static SyntheticDump Send(Ipv4 server, CollectorSettings settings, long sizeBytes, Action<long> onProgress, CancellationToken stop)
    {
        var source = SourceFor(server);
        var options = new SendOptions { SyntheticBytes = sizeBytes, Server = server, Port = settings.Port, ClientPort = settings.ClientPort, From = source, Panic = Panic, Host = HostName };
        var begin = DateTimeOffset.UtcNow;
        using var run = new SendRun(options, Transports.Default, TimeProvider.System);
        var summary = run.RunAsync((ackedBytes, _, _) => onProgress(ackedBytes), stop).GetAwaiter().GetResult();
        stop.ThrowIfCancellationRequested();
        string route = string.Create(CultureInfo.InvariantCulture, $"from {source}:{settings.ClientPort} to {server}:{settings.Port}");
        if (summary.Failed > 0)
            return new(route, summary, null, null);
        var dump = DumpCatalog.Read(settings.Directory).Dumps.LastOrDefault(dump => dump.Manifest.Client == source.ToString() && dump.Manifest.StartedAt >= begin - TimeSpan.FromSeconds(1)
            && dump.Manifest.Kdh is { PanicString: Panic });
        return new(route, summary, dump, dump is null ? null : DifferenceOf(dump, new MinidumpContent(sizeBytes, client: 0, HostName, Panic), sizeBytes));
    }

    /// <summary>A UDP port that can be had on all addresses: <paramref name="preferred"/>, or any that is free.</summary>
    public static ushort FreePort(ushort preferred)
    {
        foreach (ushort port in (ReadOnlySpan<ushort>)[preferred, 0])
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Any, port));
                return (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;
            }
            catch (SocketException) when (port != 0)
            {
            }
        }

        return preferred;
    }

    /// <summary>Compares the stored dump byte by byte; a policy that cuts dumps is no difference.</summary>
    internal static string? DifferenceOf(CatalogedDump dump, MinidumpContent sent, long sizeBytes)
    {
        if (dump.Manifest.Status is not (DumpStatus.Complete or DumpStatus.Truncated))
            return $"it is {dump.Manifest.Status.ToString().ToLowerInvariant()}";
        try
        {
            using var file = File.OpenHandle(dump.VmcorePath);
            long length = RandomAccess.GetLength(file);
            if (dump.Manifest.Status == DumpStatus.Complete && length != sizeBytes)
                return string.Create(CultureInfo.InvariantCulture, $"{dump.VmcorePath} has {length} bytes, {sizeBytes} were sent");
            byte[] stored = new byte[ChunkBytes], expected = new byte[ChunkBytes];
            for (long offset = 0; offset < length;)
            {
                int read = RandomAccess.Read(file, stored, offset);
                if (read == 0)
                    return $"{dump.VmcorePath} became shorter while it was read";
                sent.Fill((ulong)offset, expected.AsSpan(0, read));
                int same = stored.AsSpan(0, read).CommonPrefixLength(expected);
                if (same < read)
                    return string.Create(CultureInfo.InvariantCulture, $"{dump.VmcorePath} differs from what was sent at byte {offset + same}");
                offset += read;
            }

            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{dump.VmcorePath} cannot be read: {e.Message}";
        }
    }
}
