using System.Buffers.Binary;
using System.Globalization;
using System.Net;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>A socket that is bound on this machine.</summary>
/// <param name="Address">Its address.</param>
/// <param name="Port">Its port.</param>
/// <param name="Inode">By which it is found among a process's descriptors.</param>
internal sealed record BoundPort(IPAddress Address, int Port, string Inode)
{
    /// <summary>Nobody else can bind the port on <paramref name="address"/> beside it.</summary>
    public bool IsInTheWayOf(IPAddress address) => IsAny(Address) || IsAny(address) || Address.Equals(address);

    private static bool IsAny(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);
}

/// <summary>Who has a port.</summary>
/// <param name="Address">Where it has bound it.</param>
/// <param name="ProcessId">Its process; null where this user may not know.</param>
/// <param name="CommandLine">What it was started as; empty where this user may not know.</param>
internal sealed record PortHolder(IPAddress Address, int? ProcessId, string CommandLine)
{
    private const string Program = "netdump-collector";

    /// <summary>A collector that serves, by its program or, where <c>dotnet</c> runs it, by its assembly.</summary>
    public bool IsCollector => CommandLine.Split(' ') is var words && words.Take(2).Any(word => Path.GetFileNameWithoutExtension(word) == Program) && words.Contains("serve");

    /// <summary>Somebody of whom nothing is known.</summary>
    public static PortHolder UnknownAt(IPAddress address) => new(address, null, "");

    public override string ToString() => ProcessId is int id ? string.Create(CultureInfo.InvariantCulture, $"process {id} ({CommandLine})") : "another program (this user may not see which: sudo ss -ulpn)";
}

/// <summary>The sockets of this machine (its network namespace), and who has them.</summary>
/// <remarks>Source: proc_pid_net(5); /proc/net/udp and /proc/net/tcp have the same columns.</remarks>
internal static class SocketTable
{
    private const int LocalAddressColumn = 1;
    private const int StateColumn = 3;
    private const int InodeColumn = 9;
    private const string Listening = "0A";

    /// <summary>UDP sockets.</summary>
    public static IReadOnlyList<BoundPort> Udp() => [.. Parse(Proc.Lines("/proc/net/udp")), .. Parse(Proc.Lines("/proc/net/udp6"))];

    /// <summary>TCP sockets that listen.</summary>
    public static IReadOnlyList<BoundPort> TcpListeners() => [.. Parse(Proc.Lines("/proc/net/tcp"), Listening), .. Parse(Proc.Lines("/proc/net/tcp6"), Listening)];

    /// <summary>Who has <paramref name="port"/> on <paramref name="address"/>; null when nobody has.</summary>
    public static PortHolder? HolderOf(IEnumerable<BoundPort> sockets, IPAddress address, int port) =>
        sockets.FirstOrDefault(socket => socket.Port == port && socket.IsInTheWayOf(address)) is { } taken ? HolderOf(taken) : null;

    internal static IEnumerable<BoundPort> Parse(IEnumerable<string> lines, string? state = null)
    {
        foreach (string line in lines.Skip(1))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length <= InodeColumn || (state is not null && fields[StateColumn] != state))
                continue;
            string[] local = fields[LocalAddressColumn].Split(':');
            if (local.Length == 2 && int.TryParse(local[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int port) && AddressOf(local[0]) is { } address)
                yield return new(address, port, fields[InodeColumn]);
        }
    }

    /// <summary>Words of 32 bits in the machine's order, each of which is an address's bytes.</summary>
    private static IPAddress? AddressOf(string hexadecimal)
    {
        if (hexadecimal.Length is not (8 or 32))
            return null;
        byte[] bytes = Convert.FromHexString(hexadecimal);
        for (int at = 0; BitConverter.IsLittleEndian && at < bytes.Length; at += 4)
        {
            var word = bytes.AsSpan(at, 4);
            BinaryPrimitives.WriteUInt32BigEndian(word, BinaryPrimitives.ReadUInt32LittleEndian(word));
        }

        var address = new IPAddress(bytes);
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
    }

    private static PortHolder HolderOf(BoundPort taken)
    {
        string wanted = $"socket:[{taken.Inode}]";
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                continue;
            try
            {
                if (Directory.EnumerateFileSystemEntries($"{process}/fd").Any(descriptor => new FileInfo(descriptor).LinkTarget == wanted))
                    return new(taken.Address, id, File.ReadAllText($"{process}/cmdline").Replace('\0', ' ').Trim());
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is another user's.
            }
        }

        return new(taken.Address, null, "");
    }
}
