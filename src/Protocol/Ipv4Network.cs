using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace NetdumpCollector.Protocol;

/// <summary>The addresses whose first bits are those of <see cref="First"/>.</summary>
public readonly record struct Ipv4Network
{
    private const int AddressBits = 32;

    /// <param name="address">Any address of the network.</param>
    /// <param name="prefixBits">Leading bits that all addresses share, from 0 to 32.</param>
    public Ipv4Network(Ipv4 address, int prefixBits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(prefixBits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefixBits, AddressBits);
        PrefixBits = prefixBits;
        First = new(address.Value & Mask);
    }

    /// <summary>The lowest address.</summary>
    public Ipv4 First { get; }

    /// <summary>Leading bits that all addresses share.</summary>
    public int PrefixBits { get; }

    private uint Mask => PrefixBits == 0 ? 0 : uint.MaxValue << (AddressBits - PrefixBits);

    public bool Contains(Ipv4 address) => (address.Value & Mask) == First.Value;

    /// <summary>Reads <c>ADDRESS</c> or <c>ADDRESS/BITS</c>; bits set beyond the prefix are rather a mistake and refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Ipv4Network network)
    {
        network = default;
        int slash = text?.IndexOf('/', StringComparison.Ordinal) ?? -1;
        int prefixBits = AddressBits;
        if (!Ipv4.TryParse(slash < 0 ? text : text![..slash], out var address)
            || (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefixBits) || prefixBits > AddressBits)))
        {
            return false;
        }

        var parsed = new Ipv4Network(address, prefixBits);
        if (parsed.First != address)
            return false;
        network = parsed;
        return true;
    }

    public override string ToString() => PrefixBits == AddressBits ? First.ToString() : string.Create(CultureInfo.InvariantCulture, $"{First}/{PrefixBits}");
}
