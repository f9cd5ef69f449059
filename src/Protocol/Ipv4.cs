using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace NetdumpCollector.Protocol;

/// <summary>An IPv4 address as a number in host byte order; netdump knows no other kind.</summary>
public readonly record struct Ipv4(uint Value) : IComparable<Ipv4>
{
    public static readonly Ipv4 Any = new(0);
    public static readonly Ipv4 Loopback = new(0x7f000001);

    public static bool TryParse([NotNullWhen(true)] string? text, out Ipv4 address)
    {
        address = default;
        // IPAddress.TryParse also takes short, octal and hexadecimal forms, which in a settings file are rather mistakes.
        if (text is null || !IPAddress.TryParse(text, out var parsed) || parsed.AddressFamily != AddressFamily.InterNetwork || parsed.ToString() != text)
            return false;

        address = From(parsed);
        return true;
    }

    public static Ipv4 From(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[4];
        if (!address.TryWriteBytes(bytes, out int written) || written != 4)
            throw new ArgumentException($"{address} is not an IPv4 address", nameof(address));
        return new(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes));
    }

    public IPAddress ToIPAddress() => new(BitConverter.IsLittleEndian ? System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(Value) : Value);

    public int CompareTo(Ipv4 other) => Value.CompareTo(other.Value);

    public static bool operator <(Ipv4 left, Ipv4 right) => left.Value < right.Value;
    public static bool operator >(Ipv4 left, Ipv4 right) => left.Value > right.Value;
    public static bool operator <=(Ipv4 left, Ipv4 right) => left.Value <= right.Value;
    public static bool operator >=(Ipv4 left, Ipv4 right) => left.Value >= right.Value;

    public override string ToString() => $"{Value >> 24}.{(Value >> 16) & 255}.{(Value >> 8) & 255}.{Value & 255}";
}
