using System.Globalization;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>What the machine's network has lost since it was started; of every program, so it need not have been dumps.</summary>
internal static class UdpCountersCheck
{
    private const string Subject = "lost datagrams";

    /// <summary>Column of /proc/net/softnet_stat that counts what came to a full queue of a processor.</summary>
    private const int BacklogDrops = 1;

    public static IEnumerable<Finding> Look() => Judge(HostUdp.Read(), BacklogDropsOf(Proc.Lines("/proc/net/softnet_stat")), Proc.Numbers("net.core.netdev_max_backlog").FirstOrDefault(1000));

    public static IEnumerable<Finding> Judge(HostUdp? udp, long backlogDrops, long maxBacklog)
    {
        if (udp is not { } counters)
        {
            yield return new(FindingLevel.LeftOut, Subject, "the system does not tell (/proc/net/snmp)");
            yield break;
        }

        if (counters.ReceiveBufferErrors > 0)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{counters.ReceiveBufferErrors} since boot because a program's receive buffer was full (UdpRcvbufErrors)"),
                "when it grows while dumps arrive, raise net.core.rmem_max: nstat -az UdpRcvbufErrors");
        }

        if (counters.ChecksumErrors > 0)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{counters.ChecksumErrors} since boot because their checksum was wrong (UdpInCsumErrors): a bad network card, or panicked kernels that sent from a buffer that they reused"),
                "when it grows while dumps arrive, those packets come again or their dumps are incomplete, never silently wrong; leave checksums on");
        }

        if (backlogDrops > 0)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{backlogDrops} since boot because a processor did not keep up (/proc/net/softnet_stat)"),
                Text($"sysctl -w net.core.netdev_max_backlog={Math.Max(2 * maxBacklog, 10_000)}"));
        }

        if (counters is { ReceiveBufferErrors: 0, ChecksumErrors: 0 } && backlogDrops == 0)
            yield return new(FindingLevel.Ok, Subject, "none since boot (UdpRcvbufErrors, UdpInCsumErrors, softnet_stat)");
    }

    /// <summary>The sum over all processors; the numbers are hexadecimal.</summary>
    internal static long BacklogDropsOf(IEnumerable<string> lines) => lines
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Sum(fields => fields.Length > BacklogDrops && long.TryParse(fields[BacklogDrops], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long drops) ? drops : 0);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
