using System.Globalization;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether sessions find ports of their own, which nobody else is given.</summary>
/// <param name="LocalPorts">net.ipv4.ip_local_port_range: what the system gives to whoever asks for any port; empty where it does not tell.</param>
/// <param name="ReservedPorts">net.ipv4.ip_local_reserved_ports: what it leaves out of that, such as <c>8080,9000-9010</c>.</param>
/// <param name="TakenPorts">UDP ports that are bound.</param>
internal sealed record SessionPortsFacts(IReadOnlyList<long> LocalPorts, string ReservedPorts, IReadOnlyList<int> TakenPorts);

/// <inheritdoc cref="SessionPortsFacts"/>
internal static class SessionPortsCheck
{
    private const string Subject = "session ports";

    public static SessionPortsFacts Read(CollectorSettings settings)
    {
        var address = settings.Address.ToIPAddress();
        return new(Proc.Numbers("net.ipv4.ip_local_port_range"), Proc.Setting("net.ipv4.ip_local_reserved_ports"),
            [.. SocketTable.Udp().Where(socket => socket.IsInTheWayOf(address)).Select(socket => socket.Port)]);
    }

    /// <param name="settings">What the server would run with.</param>
    /// <param name="facts">What was found.</param>
    /// <param name="isServed">A collector runs: the ports that are taken are its sessions'.</param>
    public static IEnumerable<Finding> Judge(CollectorSettings settings, SessionPortsFacts facts, bool isServed)
    {
        if (settings.Endpoint == EndpointMode.Shared)
        {
            yield return new(FindingLevel.Ok, Subject, "none are used: everything goes through the herald port (--endpoint shared)");
            yield break;
        }

        var (first, last) = settings.EndpointPorts;
        int size = last - first + 1;
        int taken = facts.TakenPorts.Where(port => port >= first && port <= last).Distinct().Count();
        string range = Text($"{first}-{last}");
        if (size - taken < Math.Min(settings.MaxSessions, size) / 2 && !isServed)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{taken} of {range} are taken by other programs; sessions without a port are served from the herald port, where bursts share one buffer"),
                "choose another range with --endpoint-ports, and let the firewall pass it");
        }
        else if (size < settings.MaxSessions)
        {
            yield return new(FindingLevel.Warning, Subject, Text($"{range} are fewer than the {settings.MaxSessions} dumps at one time that --max-sessions allows; the rest is served from the herald port"), "a wider --endpoint-ports");
        }
        else
            yield return new(FindingLevel.Ok, Subject, Text($"{range}, {taken} of them {(isServed ? "in use by sessions" : "taken")}"));

        if (facts.LocalPorts is [long localFirst, long localLast] && first <= localLast && last >= localFirst && !IsReserved(facts.ReservedPorts, first, last))
        {
            yield return new(FindingLevel.Warning, Subject,
                Text($"{range} overlap net.ipv4.ip_local_port_range ({localFirst}-{localLast}): after a restart another program may have the port of a running dump, which then cannot go on"),
                $"sysctl -w net.ipv4.ip_local_reserved_ports={range}, or other --endpoint-ports");
        }
    }

    private static bool IsReserved(string reserved, int first, int last) => reserved.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Any(part =>
    {
        string[] ends = part.Split('-');
        return int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int from) && int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int to) && from <= first && to >= last;
    });

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
