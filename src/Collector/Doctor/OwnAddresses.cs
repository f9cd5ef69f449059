using System.Net.NetworkInformation;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>The IPv4 addresses by which other machines reach this one.</summary>
internal static class OwnAddresses
{
    public static IReadOnlyList<Ipv4> Read()
    {
        try
        {
            return [.. NetworkInterface.GetAllNetworkInterfaces()
                .Where(network => network.OperationalStatus == OperationalStatus.Up && network.NetworkInterfaceType != NetworkInterfaceType.Loopback)
                .SelectMany(network => network.GetIPProperties().UnicastAddresses)
                .Where(unicast => unicast.Address.AddressFamily == AddressFamily.InterNetwork)
                .Select(unicast => Ipv4.From(unicast.Address)).Distinct()];
        }
        catch (NetworkInformationException)
        {
            return [];
        }
    }
}
