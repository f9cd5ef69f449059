using System.Globalization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.HostNames;

/// <summary>The operator's own names for addresses and networks, the file of <c>--hosts</c>.</summary>
/// <remarks>One <c>ADDRESS[/PREFIX] NAME</c> per line; <c>#</c> starts a comment. The longest prefix that contains an address wins.</remarks>
public sealed class HostMap
{
    public static readonly HostMap Empty = new();

    /// <summary>Names by network, one dictionary for each prefix length.</summary>
    private readonly Dictionary<uint, string>?[] _byPrefix = new Dictionary<uint, string>?[33];

    private HostMap()
    {
    }

    /// <exception cref="HostMapException">The file cannot be read or a line is wrong; the message names file, line and reason.</exception>
    public static HostMap Load(string path)
    {
        try
        {
            return Parse(File.ReadAllLines(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostMapException($"hosts file {path}: {e.Message}", e);
        }
    }

    /// <summary>Reads lines; <paramref name="path"/> is for messages.</summary>
    /// <exception cref="HostMapException">A line is wrong; the message names file, line and reason.</exception>
    public static HostMap Parse(IReadOnlyList<string> lines, string path)
    {
        var map = new HostMap();
        for (int i = 0; i < lines.Count; i++)
        {
            if (map.Add(lines[i]) is string reason)
                throw new HostMapException(string.Create(CultureInfo.InvariantCulture, $"{path}:{i + 1}: {reason}"));
        }

        return map;
    }

    /// <summary>The name of <paramref name="address"/>, or null when no line is about it.</summary>
    public string? Find(Ipv4 address)
    {
        for (int prefix = 32; prefix >= 0; prefix--)
        {
            if (_byPrefix[prefix] is { } names && names.TryGetValue(address.Value & MaskOf(prefix), out string? name))
                return name;
        }

        return null;
    }

    private string? Add(string line)
    {
        string[] words = line.Split('#', 2)[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
            return null;
        if (words.Length != 2)
            return "expected ADDRESS[/PREFIX] NAME";

        string[] network = words[0].Split('/', 2);
        if (!Ipv4.TryParse(network[0], out var address))
            return $"'{network[0]}' is not an IPv4 address";
        int prefix = 32;
        if (network.Length == 2 && (!int.TryParse(network[1], NumberStyles.None, CultureInfo.InvariantCulture, out prefix) || prefix > 32))
            return $"'{network[1]}' is not a prefix length; allowed are 0 to 32";
        if ((address.Value & MaskOf(prefix)) != address.Value)
            return $"{words[0]} has bits set beyond its prefix; the network is {new Ipv4(address.Value & MaskOf(prefix))}/{network[1]}";
        if (!HostFileName.IsAllowed(words[1]))
            return $"'{words[1]}' cannot be in a file name; allowed are at most {HostFileName.MaxLength} of A-Z a-z 0-9 _ . - and no dot at the start";
        if (!(_byPrefix[prefix] ??= []).TryAdd(address.Value, words[1]))
            return $"{words[0]} has a name already";
        return null;
    }

    private static uint MaskOf(int prefix) => prefix == 0 ? 0 : uint.MaxValue << (32 - prefix);
}

/// <summary>The hosts file is not usable.</summary>
public sealed class HostMapException(string message, Exception? inner = null) : Exception(message, inner);
