using System.Globalization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.HostNames;

/// <summary>The operator's own names for addresses and networks, the file of <c>--hosts</c>.</summary>
/// <remarks>One <c>ADDRESS[/PREFIX] NAME</c> per line; <c>#</c> starts a comment. The longest prefix that contains an address wins.</remarks>
public sealed class HostMap
{
    public static readonly HostMap Empty = new();

    private readonly Dictionary<Ipv4Network, string> _names = [];

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
            if (_names.TryGetValue(new(address, prefix), out string? name))
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

        if (Ipv4Network.Parse(words[0], out var network) is string reason)
            return reason;
        if (!HostFileName.IsAllowed(words[1]))
            return $"'{words[1]}' cannot be in a file name; allowed are at most {HostFileName.MaxLength} of A-Z a-z 0-9 _ . - and no dot at the start";
        if (!_names.TryAdd(network, words[1]))
            return $"{words[0]} has a name already";
        return null;
    }
}

/// <summary>The hosts file is not usable.</summary>
public sealed class HostMapException(string message, Exception? inner = null) : Exception(message, inner);
