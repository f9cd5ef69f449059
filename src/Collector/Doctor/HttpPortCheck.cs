using System.Net.Sockets;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether metrics and health could be answered.</summary>
internal static class HttpPortCheck
{
    private const string Subject = "HTTP port";

    public static IEnumerable<Finding> Look(CollectorSettings settings)
    {
        if (settings.Http.EndPoint is not { } endPoint)
            return [Judge(settings, null, null)];
        using var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endPoint);
            socket.Listen();
            return [Judge(settings, null, null)];
        }
        catch (SocketException e)
        {
            return [Judge(settings, e.SocketErrorCode, SocketTable.HolderOf(SocketTable.TcpListeners(), endPoint.Address, endPoint.Port))];
        }
    }

    /// <summary>Dumps are taken whether HTTP is answered or not, so nothing of it is a problem.</summary>
    public static Finding Judge(CollectorSettings settings, SocketError? error, PortHolder? holder) => error switch
    {
        null when settings.Http.EndPoint is null => new(FindingLevel.Ok, Subject, "none (--http off): sessions, top and Prometheus cannot ask this collector"),
        null => new(FindingLevel.Ok, Subject, $"TCP {settings.Http} is free"),
        SocketError.AddressAlreadyInUse when holder is { IsCollector: true } => new(FindingLevel.Ok, Subject, $"TCP {settings.Http} is answered by {holder}"),
        SocketError.AddressAlreadyInUse => new(FindingLevel.Warning, Subject, $"TCP {settings.Http} is taken by {holder ?? PortHolder.UnknownAt(settings.Http.EndPoint!.Address)}: no metrics and no health would be answered", "stop it, or choose another place with --http ADDR:PORT"),
        _ => new(FindingLevel.Warning, Subject, $"TCP {settings.Http} cannot be had ({new SocketException((int)error).Message}): no metrics and no health would be answered", "choose another place with --http ADDR:PORT"),
    };
}
