using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A server that is killed and started again, on one address, port and directory.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class KilledCollector(string directory, params string[] arguments) : IAsyncDisposable
{
    /// <summary>A kernel repeats a burst each second, twelve times; before that time is up the server must be there for a while, also where its start takes long.</summary>
    private const double LongestStarvation = 5.5;

    /// <summary>Of the moments of kills. NETDUMP_SIM_SEED repeats a run, as far as threads and clocks let it.</summary>
    public static readonly int Seed = int.TryParse(Environment.GetEnvironmentVariable("NETDUMP_SIM_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : Random.Shared.Next();

    private Collector? _running;
    private double _starved;

    public string Address { get; } = Collector.NewServerAddress();

    public ushort Port { get; } = Collector.FreePort();

    public string Directory { get; } = directory;

    public int Kills { get; private set; }

    /// <summary>What all processes printed.</summary>
    public List<string> Outputs { get; } = [];

    public Collector Running => _running!;

    public async Task StartAsync() => _running = await Collector.StartAtAsync(Address, Port, Directory, arguments);

    public async Task KillAsync()
    {
        await _running!.KillAsync();
        await EndAsync();
        Kills++;
    }

    /// <summary>SIGTERM; fails where it does not end well.</summary>
    public async Task StopAsync()
    {
        await _running!.StopAsync();
        await EndAsync();
    }

    /// <summary>Kills and starts the server at random moments until the clients have ended, but leaves them a chance.</summary>
    /// <param name="clients">What sends.</param>
    /// <param name="random">The moments.</param>
    /// <param name="loses">The network loses packets too.</param>
    public async Task KillWhileAsync(Task clients, Random random, bool loses)
    {
        // Uptime in which a burst that was under way gets through: its next repetition, and two more where some are lost.
        double enough = loses ? 3.5 : 2;
        while (true)
        {
            double up = _starved > 0 && random.Next(3) > 0 ? random.NextDouble() * 0.3 : random.NextDouble() * 2;
            double down = random.Next(12) == 0 ? random.NextDouble() * 7 : 0.1 + (random.NextDouble() * (random.Next(4) == 0 ? 2.9 : 0.3));
            if (up < enough && _starved + up + down > LongestStarvation)
                up = enough;
            _starved = up < enough ? _starved + up + down : down;
            if (await Task.WhenAny(clients, Task.Delay(TimeSpan.FromSeconds(up))) == clients)
                break;
            await KillAsync();
            await Task.Delay(TimeSpan.FromSeconds(down));
            long started = Stopwatch.GetTimestamp();
            await StartAsync();
            _starved += Stopwatch.GetElapsedTime(started).TotalSeconds;
        }

        await clients;
    }

    /// <summary>Waits until nobody is answered any more and nothing of running dumps is left.</summary>
    public Task LingersNoMoreAsync() => Eventually.Holds(
        () => System.IO.Directory.GetFiles(Directory, "*partial.*", SearchOption.AllDirectories).Length == 0,
        "partial files and ledgers are gone");

    /// <summary>Names that no dump's commit has.</summary>
    public string[] LeftOvers() => [.. System.IO.Directory.GetFileSystemEntries(Directory, "*", new EnumerationOptions { AttributesToSkip = 0, RecurseSubdirectories = true })
        .Select(path => Path.GetFileName(path)!)
        .Where(name => name.Contains("partial.", StringComparison.Ordinal) || name.EndsWith(".tmp", StringComparison.Ordinal))];

    public async ValueTask DisposeAsync()
    {
        if (_running is not null)
            await EndAsync();
    }

    private async Task EndAsync()
    {
        var ended = _running!;
        _running = null;
        await ended.DisposeAsync();
        Outputs.Add(ended.Output);
    }
}
