using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>A real PostgreSQL of Debian's on a loopback address, with its data in a directory of its own; it loses everything when the machine crashes, and is fast by that.</summary>
/// <remarks>It refuses to run as root, and runs as user postgres then.</remarks>
[UnsupportedOSPlatform("windows")]
internal sealed class PostgresServer : IAsyncDisposable
{
    public const string Password = "s3cret-of-the-tests";

    private static int s_lastDatabase;

    private readonly string _root;
    private readonly string _address = Collector.NewServerAddress();
    private readonly int _port;
    private Process? _process;

    private PostgresServer(string root) => (_root, _port) = (root, FreePort());

    /// <summary>Makes one and starts it.</summary>
    public static async Task<PostgresServer> StartAsync()
    {
        string root = Directory.CreateTempSubdirectory("netdump-pg-").FullName;
        var server = new PostgresServer(root);
        try
        {
            File.WriteAllText(Path.Combine(root, "password"), Password);
            if (IsRoot)
                await RunAsync("chown", "-R", "postgres", root);
            await RunAsync([.. AsUser, Path.Combine(PostgresFactAttribute.Programs!, "initdb"), "--pgdata", server.Data, "--username", "netdump", "--pwfile", Path.Combine(root, "password"), "--auth", "scram-sha-256",
                "--no-sync", "--encoding", "UTF8", "--locale", "C"]);
            server.Start();
            await server.AnswersAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private static bool IsRoot => Environment.UserName == "root";

    private static string[] AsUser => IsRoot ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];

    private string Data => Path.Combine(_root, "data");

    /// <summary>A connection string to a new and empty database.</summary>
    public async Task<string> NewDatabaseAsync()
    {
        string name = $"fleet{Interlocked.Increment(ref s_lastDatabase)}";
        await QueryAsync("postgres", $"create database {name}");
        return ConnectionTo(name);
    }

    public string ConnectionTo(string database, string? password = null) => $"Host={_address};Port={_port};Database={database};Username=netdump;Password={password ?? Password}";

    /// <summary>The same database by a socket in the file system, which is reached from every network.</summary>
    public string LocalConnectionTo(string database) => $"Host={_root};Port={_port};Database={database};Username=netdump;Password={Password}";

    /// <summary>The name of a database by its connection string.</summary>
    public static string DatabaseOf(string connection) => connection.Split(';').Single(part => part.StartsWith("Database=", StringComparison.Ordinal))["Database=".Length..];

    /// <summary>What a statement results in, a line per row.</summary>
    public async Task<string> QueryAsync(string database, string statement)
    {
        var result = await CommandResult.RunAsync("env", [$"PGPASSWORD={Password}", Path.Combine(PostgresFactAttribute.Programs!, "psql"), "-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", _address, "-p", $"{_port}", "-U", "netdump", "-d", database, "-c", statement]);
        Assert.True(result.ExitCode == 0, $"{statement}: {result.Error}");
        return result.Output.Trim();
    }

    /// <summary>Ends it without giving it a chance.</summary>
    public async Task KillAsync()
    {
        // Its children hold on to its memory until they notice; with them gone nothing of it is left.
        await SignalAllAsync("KILL");
        await _process!.WaitForExitAsync();
        _process = null;
    }

    /// <summary>Stops every process of it as it is, until what this returns is disposed of.</summary>
    public async Task<IAsyncDisposable> PauseAsync()
    {
        await SignalAllAsync("STOP");
        return new Paused(this);
    }

    /// <summary>Starts it again after <see cref="KillAsync"/>.</summary>
    public async Task RestartAsync()
    {
        Start();
        await AnswersAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
        try
        {
            Directory.Delete(_root, recursive: true);
        }
        catch (IOException)
        {
            // A process of it that has not quite gone may still write.
        }
    }

    private void Start()
    {
        File.Delete(Path.Combine(Data, "postmaster.pid"));
        string[] command = [.. AsUser, Path.Combine(PostgresFactAttribute.Programs!, "postgres"), "-D", Data, "-c", $"listen_addresses={_address}", "-p", $"{_port}", "-k", _root, "-c", "fsync=off", "-c", "max_connections=60",
            "-c", "log_min_messages=fatal"];
        _process = new Process { StartInfo = CommandResult.StartInfoOf(command[0], command[1..]) };
        // Nobody reads it, and a pipe fills up.
        (_process.StartInfo.RedirectStandardOutput, _process.StartInfo.RedirectStandardError) = (false, false);
        _process.Start();
    }

    private async Task AnswersAsync()
    {
        long start = Stopwatch.GetTimestamp();
        while ((await CommandResult.RunAsync(Path.Combine(PostgresFactAttribute.Programs!, "pg_isready"), ["-q", "-h", _address, "-p", $"{_port}"])).ExitCode != 0)
        {
            Assert.False(_process!.HasExited, "PostgreSQL ended");
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, "PostgreSQL does not answer");
        }
    }

    private async Task SignalAllAsync(string signal)
    {
        int main = _process!.Id;
        // The main process first, lest it replaces those that die.
        _ = await CommandResult.RunAsync("sh", ["-c", $"children=$(ps -o pid= --ppid {main}); kill -{signal} {main} $children 2>/dev/null; true"]);
    }

    private sealed class Paused(PostgresServer server) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await server.SignalAllAsync("CONT");
    }

    private static async Task RunAsync(params string[] command)
    {
        var result = await CommandResult.RunAsync(command[0], command[1..]);
        Assert.True(result.ExitCode == 0, $"{string.Join(' ', command)}: {result.Error}{result.Output}");
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Any, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}

/// <summary>A fact that needs PostgreSQL; skipped where it is not, except in CI.</summary>
internal sealed class PostgresFactAttribute : FactAttribute
{
    /// <summary>Where the server's programs are; null where they are not.</summary>
    public static string? Programs { get; } = new[] { "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin" }.FirstOrDefault(Directory.Exists);

    public PostgresFactAttribute()
    {
        if (Programs is null && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "PostgreSQL is needed, which comes with Debian's postgresql";
    }
}

/// <summary>One server for all tests of the catalogue, each of which has a database of its own in it; those that stop or kill a server make one for themselves.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class PostgresFixture : IAsyncLifetime
{
    private PostgresServer? _server;

    internal PostgresServer Server => _server ?? throw new InvalidOperationException("PostgreSQL is not installed");

    public async Task InitializeAsync() => _server = PostgresFactAttribute.Programs is null ? null : await PostgresServer.StartAsync();

    public async Task DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
    }
}

[CollectionDefinition(Name)]
[UnsupportedOSPlatform("windows")]
public sealed class PostgresTests : ICollectionFixture<PostgresFixture>
{
    public const string Name = "PostgreSQL";
}
