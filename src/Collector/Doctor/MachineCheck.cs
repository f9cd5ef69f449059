using System.Globalization;
using System.Net.Sockets;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Kernel, transport, processors and memory.</summary>
/// <param name="Kernel">Name and release of the system.</param>
/// <param name="Transport">The transport that <c>serve</c> would use; null where the one that the settings want does not work.</param>
/// <param name="Segments">One call sends several acks (UDP_SEGMENT).</param>
/// <param name="Gathers">One call receives several datagrams (UDP_GRO).</param>
/// <param name="Processors">That this process may use.</param>
/// <param name="AvailableBytes">Memory that is left to this process; null where the system does not tell.</param>
/// <param name="AffordableSessions">Dumps at one time that descriptors and settings allow.</param>
internal sealed record MachineFacts(string Kernel, string? Transport, bool Segments, bool Gathers, int Processors, long? AvailableBytes, int AffordableSessions);

/// <inheritdoc cref="MachineFacts"/>
internal static class MachineCheck
{
    public const string Subject = "machine";

    /// <summary>A receive buffer of 1 MiB and what is staged while a disk is slow.</summary>
    private const long BytesPerSession = (1 << 20) + (256 << 10);

    // linux/udp.h
    private const int SolUdp = 17;
    private const int UdpSegment = 103;
    private const int UdpGro = 104;

    public static IEnumerable<Finding> Look(CollectorSettings settings) => Judge(settings, Read(settings));

    public static IEnumerable<Finding> Judge(CollectorSettings settings, MachineFacts facts)
    {
        if (facts.Transport is null)
        {
            yield return new(FindingLevel.Problem, Subject, $"{facts.Kernel}: the transport '{Word(settings.Transport)}' does not work on this machine, serve would not start", "--transport auto");
            yield break;
        }

        bool isSlow = facts.Transport != "linux" || !facts.Segments || !facts.Gathers;
        string calls = $"UDP_SEGMENT {(facts.Segments ? "yes" : "no")}, UDP_GRO {(facts.Gathers ? "yes" : "no")}";
        yield return new(isSlow ? FindingLevel.Warning : FindingLevel.Ok, Subject,
            $"{facts.Kernel}, transport {facts.Transport} ({calls}){(isSlow ? "; each packet costs more processor time than it must" : "")}",
            facts.Transport != "linux" && settings.Transport == TransportChoice.Portable ? "--transport auto" : isSlow ? "use Linux 5.0 or later on x86-64 or arm64" : null);

        int loops = settings.Loops > 0 ? settings.Loops : Math.Clamp(facts.Processors, 1, Server.MaxLoops);
        if (loops > facts.Processors)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{loops} event loops share {facts.Processors} processors: they wait for each other"), "--loops auto");
        }

        if (facts.AvailableBytes is not long available)
            yield break;
        long sessions = available / BytesPerSession;
        bool isTight = sessions < Math.Min(facts.AffordableSessions, Server.FewSessions);
        yield return new(isTight ? FindingLevel.Warning : FindingLevel.Ok, "memory",
            Text($"{ByteSize.Format(available)} available, and {facts.Processors} processors; a dump takes up to {ByteSize.Format(BytesPerSession)} while the disk is slow, so that is enough for {sessions} at one time"),
            isTight ? Text($"more memory, or --max-sessions {Math.Max(sessions, 1)}") : null);
    }

    private static MachineFacts Read(CollectorSettings settings)
    {
        string? transport = settings.Transport == TransportChoice.Auto ? Transports.Default.Name
            : Transports.TryGet(Word(settings.Transport), out var wanted) ? wanted.Name : null;
        return new(Environment.OSVersion.VersionString.Replace("Unix", OperatingSystem.IsLinux() ? "Linux" : "Unix", StringComparison.Ordinal), transport, Takes(UdpSegment, 1448), Takes(UdpGro, 1),
            Environment.ProcessorCount, AvailableBytes(), Math.Min(settings.MaxSessions, DescriptorBudget.MaxSessions()));
    }

    private static bool Takes(int option, int value)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.SetRawSocketOption(SolUdp, option, BitConverter.GetBytes(value));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>What the machine has, or less where a control group limits it.</summary>
    private static long? AvailableBytes()
    {
        long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return Proc.Lines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal)) is string line
            && long.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], NumberStyles.None, CultureInfo.InvariantCulture, out long kib) ? Math.Min(kib << 10, limit) : null;
    }

    private static string Word(TransportChoice choice) => choice.ToString().ToLowerInvariant();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
