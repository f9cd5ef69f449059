using System.Diagnostics.CodeAnalysis;

namespace NetdumpCollector.Protocol;

/// <summary>A list of networks, as an operator writes it; lists are equal when they hold the same networks in the same order.</summary>
public sealed class Ipv4Networks(IEnumerable<Ipv4Network> networks) : IEquatable<Ipv4Networks>
{
    public static readonly Ipv4Networks None = new([]);

    private readonly Ipv4Network[] _networks = [.. networks];

    public bool IsEmpty => _networks.Length == 0;

    public bool Contains(Ipv4 address)
    {
        foreach (ref readonly var network in _networks.AsSpan())
        {
            if (network.Contains(address))
                return true;
        }

        return false;
    }

    /// <summary>Reads networks (<see cref="Ipv4Network.TryParse"/>) separated by commas; spaces around them are fine, and nothing at all is <see cref="None"/>.</summary>
    public static bool TryParse(string text, [MaybeNullWhen(false)] out Ipv4Networks networks)
    {
        networks = None;
        if (text.Length == 0)
            return true;

        var parsed = new List<Ipv4Network>();
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!Ipv4Network.TryParse(item, out var network))
                return false;
            parsed.Add(network);
        }

        networks = new(parsed);
        return true;
    }

    public bool Equals(Ipv4Networks? other) => other is not null && _networks.AsSpan().SequenceEqual(other._networks);

    public override bool Equals(object? obj) => Equals(obj as Ipv4Networks);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var network in _networks)
            hash.Add(network);
        return hash.ToHashCode();
    }

    public override string ToString() => string.Join(',', _networks);
}
