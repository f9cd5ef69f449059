using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.EndToEnd.Tests.Takeover;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A running <c>netdump-collector serve</c>, on an address and a directory of its own.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class Collector : IAsyncDisposable
{
    /// <summary>Addresses of one network of clients, and networks from 127.64.0.0 to 127.191.255.255.</summary>
    private const int ClientsOfNetwork = 1 << 12, Networks = (192 - 64) << 4;

    private static int s_lastServer;
    private static int s_lastNetwork;

    private readonly ConcurrentQueue<string> _lines = new();
    private readonly Process _process;

    private Collector(string directory, string address, string program, IEnumerable<string> arguments)
    {
        Directory = directory;
        Address = address;
        _process = new Process { StartInfo = CommandResult.StartInfoOf(program, arguments) };
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) => Add(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The program of the package that test.sh made, which is compiled ahead of time and starts sooner; without it, the one that was built together with these tests.</summary>
    public static string Executable { get; } = BuiltPackages.Unpacked ?? Path.Combine(AppContext.BaseDirectory, "netdump-collector");

    public string Directory { get; }

    public string Address { get; }

    public ushort Port { get; private set; }

    /// <summary>Where it answers HTTP; it does so soon after it takes dumps.</summary>
    public async Task<Uri> HttpAsync()
    {
        await PrintsAsync("Metrics and health on ");
        return new(HttpOn().Match(Output).Groups[1].Value);
    }

    public int ProcessId => _process.Id;

    /// <summary>All it has printed so far.</summary>
    public string Output => string.Join('\n', _lines);

    public IReadOnlyList<string> Lines => [.. _lines];

    /// <summary>Dumps that ended.</summary>
    public IReadOnlyList<CatalogedDump> Dumps => DumpCatalog.Read(Directory).Dumps;

    /// <summary>Starts a server on any free port and waits until it takes dumps.</summary>
    public static Task<Collector> StartAsync(string directory, params string[] arguments) => StartAtAsync(NewServerAddress(), port: 0, directory, arguments);

    /// <summary>Starts a server where clients expect it.</summary>
    public static Task<Collector> StartAtAsync(string address, int port, string directory, params string[] arguments) =>
        ListeningAsync(new Collector(directory, address, Executable, Serve(address, port, directory, arguments)));

    /// <summary>Starts a server that sees the machine's boot id as <paramref name="bootId"/>, as after a reboot. Takes the rights to mount.</summary>
    public static Task<Collector> StartInBootAsync(Guid bootId, string address, string directory, params string[] arguments) =>
        StartAmongAsync([("/proc/sys/kernel/random/boot_id", $"{bootId}")], address, directory, arguments);

    /// <summary>Starts a server that finds other texts in <paramref name="files"/> than everybody else. Takes the rights to mount.</summary>
    public static Task<Collector> StartAmongAsync(IEnumerable<(string Path, string Text)> files, string address, string directory, params string[] arguments)
    {
        const string Script =
            "while [ \"$1\" != -- ]; do f=$(mktemp) && echo \"$2\" >\"$f\" && mount --bind \"$f\" \"$1\" && rm \"$f\" && shift 2 || exit; done; shift; exec \"$@\"";
        return ListeningAsync(new Collector(directory, address, "unshare",
            ["--mount", "sh", "-c", Script, "sh", .. files.SelectMany(file => (string[])[file.Path, file.Text]), "--", Executable, .. Serve(address, 0, directory, arguments)]));
    }

    /// <summary>Starts a server that may have so many files open.</summary>
    public static Task<Collector> StartWithDescriptorsAsync(int limit, string address, int port, string directory, params string[] arguments) =>
        ListeningAsync(new Collector(directory, address, "prlimit", [$"--nofile={limit}", Executable, .. Serve(address, port, directory, arguments)]));

    /// <summary>Starts a server with variables (<c>NAME=VALUE</c>) in its environment besides.</summary>
    public static Task<Collector> StartInAsync(IEnumerable<string> variables, string directory, params string[] arguments) =>
        StartInAsync(variables, NewServerAddress(), port: 0, directory, arguments);

    /// <summary>The same, where clients expect it.</summary>
    public static Task<Collector> StartInAsync(IEnumerable<string> variables, string address, int port, string directory, params string[] arguments) =>
        ListeningAsync(new Collector(directory, address, "env", [.. variables, Executable, .. Serve(address, port, directory, arguments)]));

    /// <summary>Starts a server in another network, on a machine of that name. HTTP is not reached from here, and off unless told.</summary>
    public static Task<Collector> StartInNetworkAsync(NetworkNamespace network, string host, string address, int port, string directory, params string[] arguments)
    {
        string[] command = network.Enter(
            ["unshare", "--uts", "sh", "-c", "hostname \"$1\" && shift && exec \"$@\"", "sh", host, Executable,
                .. Serve(address, port, directory, arguments.Contains("--http") ? arguments : ["--http", "off", .. arguments])]);
        return ListeningAsync(new Collector(directory, address, command[0], command[1..]));
    }

    /// <summary>Starts a server whose wall clock is <paramref name="clock"/>.</summary>
    public static async Task<Collector> StartByAsync(WrongClock clock, string directory, params string[] arguments)
    {
        string address = NewServerAddress();
        return await ListeningAsync(new Collector(directory, address, "env", [.. await clock.EnvironmentAsync(), Executable, .. Serve(address, 0, directory, arguments)]));
    }

    private static string[] Serve(string address, int port, string directory, string[] arguments) =>
        ["serve", "-a", address, "-d", directory, "--port", $"{port}", .. arguments.Contains("--http") ? [] : (string[])["--http", $"{address}:0"], .. arguments];

    private static async Task<Collector> ListeningAsync(Collector collector)
    {
        try
        {
            await collector.PrintsAsync("Waiting for clients.");
            collector.Port = ushort.Parse(ListeningOn().Match(collector.Output).Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);
            return collector;
        }
        catch
        {
            await collector.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs any command of the program to its end.</summary>
    public static Task<CommandResult> RunAsync(params string[] arguments) => CommandResult.RunAsync(Executable, arguments);

    /// <summary>A loopback address for a server; sessions of different servers then never meet on a port.</summary>
    public static string NewServerAddress()
    {
        int server = Interlocked.Increment(ref s_lastServer);
        return $"127.1.{server % 256}.{1 + (server / 256)}";
    }

    /// <summary>The first of thousands of loopback addresses for clients, whose port is the same for all.</summary>
    /// <remarks>They are given away again when all are: long after the test that had them.</remarks>
    public static Ipv4 NewClientAddresses()
    {
        uint network = (uint)Interlocked.Increment(ref s_lastNetwork) % Networks;
        return new((127u << 24) + (64u << 16) + (network * ClientsOfNetwork) + 1);
    }

    public static ushort FreePort()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        probe.Bind(new IPEndPoint(IPAddress.Any, 0));
        return (ushort)((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    public Task PrintsAsync(string text) => Eventually.Holds(
        () =>
        {
            Assert.False(_process.HasExited && !Output.Contains(text, StringComparison.Ordinal), $"the server ended:\n{Output}");
            return Output.Contains(text, StringComparison.Ordinal);
        },
        $"\"{text}\" in what the server prints");

    /// <summary>Stops it as an init system does and checks that it ends well.</summary>
    public async Task StopAsync()
    {
        Terminate();
        await EndsAsync();
        Assert.True(_process.ExitCode == 0, $"exit code {_process.ExitCode}:\n{Output}");
    }

    /// <summary>Tells it to stop as an init system does, without waiting for its end.</summary>
    public void Terminate() => _process.Send(Signal.Terminate);

    /// <summary>Stops the process as it is until what this returns is disposed of.</summary>
    public IDisposable Pause() => new PausedProcess(_process);

    /// <summary>Ends it without giving it a chance.</summary>
    public Task KillAsync()
    {
        _process.Kill();
        return EndsAsync();
    }

    /// <summary>The manifests of all dumps, once there are <paramref name="count"/> and their hashes are known.</summary>
    public async Task<IReadOnlyList<CatalogedDump>> HashedDumpsAsync(int count)
    {
        await Eventually.Holds(() => Count("dump.*.json") == count, $"{count} dumps");
        var pending = new Queue<string>(Dumps.Select(dump => dump.ManifestPath));
        // The thread that makes them has only the time of processors that are idle, which beside other tests they seldom are: little of it is taken, and there is patience.
        await Eventually.Holds(
            () =>
            {
                while (pending.TryPeek(out string? manifest) && ManifestFile.Read(manifest).HashState != HashState.Pending)
                    pending.Dequeue();
                return pending.Count == 0;
            },
            $"the hashes of {count} dumps", CommandResult.Deadline);
        return Dumps;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        _process.Dispose();
    }

    private int Count(string pattern) => System.IO.Directory.EnumerateFiles(Directory, pattern, SearchOption.AllDirectories).Count();

    /// <summary>Waits for the end of the process.</summary>
    public async Task EndsAsync()
    {
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _process.WaitForExitAsync(timeUp.Token);
    }

    private void Add(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }

    [GeneratedRegex(@"Listening on [0-9.]+:([0-9]+)")]
    private static partial Regex ListeningOn();

    [GeneratedRegex(@"Metrics and health on (https?://[0-9.:]+)")]
    private static partial Regex HttpOn();
}
