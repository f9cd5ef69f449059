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
        return text is not null && Parse(text, out network) is null;
    }

    /// <summary>As <see cref="TryParse"/>.</summary>
    /// <returns>What is wrong with <paramref name="text"/>, in words, or null.</returns>
    public static string? Parse(string text, out Ipv4Network network)
    {
        network = default;
        string[] parts = text.Split('/', 2);
        if (!Ipv4.TryParse(parts[0], out var address))
            return $"'{parts[0]}' is not an IPv4 address";
        int prefixBits = AddressBits;
        if (parts.Length == 2 && (!int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out prefixBits) || prefixBits > AddressBits))
            return $"'{parts[1]}' is not a prefix length; allowed are 0 to {AddressBits}";

        var parsed = new Ipv4Network(address, prefixBits);
        if (parsed.First != address)
            return $"{text} has bits set beyond its prefix; the network is {parsed}";
        network = parsed;
        return null;
    }

    public override string ToString() => PrefixBits == AddressBits ? First.ToString() : string.Create(CultureInfo.InvariantCulture, $"{First}/{PrefixBits}");
}
