using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.HostNames;

/// <summary>Asks the system for the name of an address; blocks for as long as its resolver does.</summary>
/// <remarks>
/// On Linux by getnameinfo(3) itself: the class library's way to the same call sets up meters and, for each name that is not known, an exception, which costs a collector that just got its first
/// panic more than all of its transfer logic.
/// </remarks>
internal static unsafe partial class ReverseLookup
{
    private const int AddressBytes = 16;
    private const ushort AddressFamily = 2;
    private const int NameRequired = 8;
    private const int MaxNameBytes = 1025;

    /// <summary>The full name, or null when there is none.</summary>
    public static string? NameOf(Ipv4 address)
    {
        if (!OperatingSystem.IsLinux())
            return ByClassLibrary(address);

        // struct sockaddr_in: family in the machine's order, port and address in the network's.
        byte* socketAddress = stackalloc byte[AddressBytes];
        new Span<byte>(socketAddress, AddressBytes).Clear();
        *(ushort*)socketAddress = AddressFamily;
        BinaryPrimitives.WriteUInt32BigEndian(new(socketAddress + 4, sizeof(uint)), address.Value);
        byte* name = stackalloc byte[MaxNameBytes];
        return getnameinfo(socketAddress, AddressBytes, name, MaxNameBytes, null, 0, NameRequired) == 0
            ? Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name))
            : null;
    }

    private static string? ByClassLibrary(Ipv4 address)
    {
        try
        {
            return Dns.GetHostEntry(address.ToIPAddress()).HostName;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    [LibraryImport("libc")]
    private static partial int getnameinfo(byte* address, uint addressBytes, byte* name, uint nameBytes, byte* service, uint serviceBytes, int flags);
}
