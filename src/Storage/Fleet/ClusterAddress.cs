using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Where the catalogue is: a connection string, or the file that holds it.</summary>
/// <remarks>It may have a password in it: <see cref="ToString"/> and errors show only what is known to be none. Nothing of the database's library is loaded by it but by <see cref="Check"/>.</remarks>
public sealed record ClusterAddress
{
    public const string Allowed = "a PostgreSQL connection string with Host and Database, such as \"Host=db.example.net;Database=netdump;Username=netdump\", or nothing";

    private const string FileAdvice = "name by --cluster-file a file with one line such as \"Host=db.example.net;Database=netdump;Username=netdump;Password=...\"";

    /// <summary>A secret that is mounted as a file is short; anything longer is another file.</summary>
    private const int MaxFileBytes = 64 << 10;

    private static readonly string[] s_hostKeys = ["host", "server"];
    private static readonly string[] s_databaseKeys = ["database", "db"];
    private static readonly string[] s_shownKeys = [.. s_hostKeys, "port", .. s_databaseKeys, "username", "user id", "userid", "user name", "uid"];
    private static readonly string[] s_secretKeys = ["password", "psw", "pwd", "ssl password"];

    private readonly string? _text;
    private readonly string? _file;

    private ClusterAddress(string? text, string? file) => (_text, _file) = (text, file);

    /// <summary>Reads a connection string; what its other keywords mean is looked at when a connection is made.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out ClusterAddress? address)
    {
        address = ProblemOf(text) is null ? new(text, null) : null;
        return address is not null;
    }

    /// <summary>What is wrong with a connection string, without its values; null where nothing is.</summary>
    public static string? ProblemOf(string text)
    {
        var keys = new DbConnectionStringBuilder();
        try
        {
            keys.ConnectionString = text;
        }
        catch (ArgumentException)
        {
            return "it is not of the form KEYWORD=VALUE;KEYWORD=VALUE";
        }

        return !s_hostKeys.Any(keys.ContainsKey) ? "it names no Host" : !s_databaseKeys.Any(keys.ContainsKey) ? "it names no Database" : null;
    }

    /// <summary>The connection string is the content of a file, which is read anew for each connection: passwords change.</summary>
    /// <exception cref="FleetException">The file cannot be read, or has no connection string.</exception>
    public static ClusterAddress FromFile(string path)
    {
        var address = new ClusterAddress(null, Path.GetFullPath(path));
        _ = address.ConnectionString();
        return address;
    }

    /// <summary>The connection string as it is now, secrets included.</summary>
    /// <exception cref="FleetException">The file cannot be read, or has none.</exception>
    public string ConnectionString()
    {
        if (_file is null)
            return _text!;
        try
        {
            // As editors write it, with or without the mark that says UTF-8.
            string text = Encoding.UTF8.GetString(SmallFile.Read(_file, MaxFileBytes)).Trim('\ufeff').Trim();
            string? problem = text.Length == 0 ? "is empty" : ProblemOf(text);
            return problem is null ? text : throw new FleetException($"cluster file {_file}: {problem}; {FileAdvice}") { NeedsOperator = true };
        }
        catch (IOException e)
        {
            throw new FleetException($"cluster file {_file}: {e.Message}; {FileAdvice}", e) { NeedsOperator = true };
        }
    }

    /// <summary>Asks the database's library whether it knows the keywords and takes their values; connects to nothing.</summary>
    /// <exception cref="FleetException">It does not, or the file cannot be read.</exception>
    public void Check() => _ = FleetConnections.OptionsOf(this);

    /// <summary>Host, database and user.</summary>
    public override string ToString()
    {
        try
        {
            var keys = new DbConnectionStringBuilder { ConnectionString = ConnectionString() };
            return string.Join(';', s_shownKeys.Where(keys.ContainsKey).Select(key => $"{char.ToUpperInvariant(key[0])}{key[1..]}={keys[key]}"));
        }
        catch (FleetException)
        {
            return $"file {_file}";
        }
    }

    /// <summary>A text without the secrets of the connection string.</summary>
    internal static string WithoutSecrets(string text, string connectionString)
    {
        var keys = new DbConnectionStringBuilder();
        try
        {
            keys.ConnectionString = connectionString;
        }
        catch (ArgumentException)
        {
            return "the connection string is not of the form KEYWORD=VALUE;…";
        }

        foreach (string key in s_secretKeys)
        {
            if (keys.TryGetValue(key, out object? secret) && $"{secret}" is { Length: > 0 } word)
                text = text.Replace(word, "***", StringComparison.Ordinal);
        }

        return text;
    }
}
