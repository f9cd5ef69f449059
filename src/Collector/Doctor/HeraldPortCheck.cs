using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the herald port can be had, and who has it otherwise.</summary>
/// <param name="Error">Why it cannot be bound; null when it can.</param>
/// <param name="Holder">Who has it.</param>
internal sealed record HeraldPortFacts(SocketError? Error, PortHolder? Holder)
{
    public bool IsFree => Error is null;

    /// <summary>A collector has it.</summary>
    public bool IsServed => Holder is { IsCollector: true };
}

/// <inheritdoc cref="HeraldPortFacts"/>
internal static class HeraldPortCheck
{
    public const string Subject = "herald port";

    /// <summary>Binds the port as the first event loop does, without sharing it, and lets it go at once.</summary>
    public static HeraldPortFacts Read(CollectorSettings settings)
    {
        var address = settings.Address.ToIPAddress();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.Bind(new IPEndPoint(address, settings.Port));
            return new(null, null);
        }
        catch (SocketException e)
        {
            return new(e.SocketErrorCode, e.SocketErrorCode == SocketError.AddressAlreadyInUse ? SocketTable.HolderOf(SocketTable.Udp(), address, settings.Port) ?? PortHolder.UnknownAt(address) : null);
        }
    }

    /// <param name="settings">What the server would run with.</param>
    /// <param name="facts">What was found.</param>
    /// <param name="localPorts">net.ipv4.ip_local_port_range; empty where the system does not tell.</param>
    public static IEnumerable<Finding> Judge(CollectorSettings settings, HeraldPortFacts facts, IReadOnlyList<long> localPorts)
    {
        string place = string.Create(CultureInfo.InvariantCulture, $"UDP {settings.Address}:{settings.Port}");
        yield return facts.Error switch
        {
            null when settings.Port == 0 => new(FindingLevel.Ok, Subject, "any free port (--port 0): kernels must be told which it is, they know 20023 only"),
            null => new(FindingLevel.Ok, Subject, $"{place} is free"),
            SocketError.AddressAlreadyInUse when facts.IsServed && !facts.Holder!.Address.Equals(settings.Address.ToIPAddress()) => new(FindingLevel.Warning, Subject,
                $"{place} is not free: {facts.Holder} has it on {facts.Holder.Address}", $"give doctor the settings of that collector, such as -a {facts.Holder.Address}"),
            SocketError.AddressAlreadyInUse when facts.IsServed => new(FindingLevel.Ok, Subject, $"{place} is served by {facts.Holder}"),
            SocketError.AddressAlreadyInUse => new(FindingLevel.Problem, Subject, $"{place} is taken by {facts.Holder}", facts.Holder?.ProcessId is int id
                ? string.Create(CultureInfo.InvariantCulture, $"stop it (kill {id}, or its service), or choose another port with --port; kernels send to 20023 only")
                : "stop it, or choose another port with --port; kernels send to 20023 only"),
            SocketError.AddressNotAvailable => new(FindingLevel.Problem, Subject, $"{settings.Address} is not an address of this machine", "use one that 'ip address' lists, or -a 0.0.0.0 for all"),
            SocketError.AccessDenied => new(FindingLevel.Problem, Subject, $"{place}: this user may not have it", "ports below 1024 need root or CAP_NET_BIND_SERVICE"),
            _ => new(FindingLevel.Problem, Subject, $"{place} cannot be had: {new SocketException((int)facts.Error).Message}"),
        };

        if (settings.Port != 0 && localPorts is [long first, long last] && settings.Port >= first && settings.Port <= last)
        {
            yield return new(FindingLevel.Warning, Subject,
                string.Create(CultureInfo.InvariantCulture, $"{settings.Port} lies within net.ipv4.ip_local_port_range ({first}-{last}): any program may be given it before the collector starts"),
                string.Create(CultureInfo.InvariantCulture, $"sysctl -w net.ipv4.ip_local_reserved_ports={settings.Port}"));
        }
    }
}
