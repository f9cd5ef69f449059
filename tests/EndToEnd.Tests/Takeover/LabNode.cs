using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>One node of a <see cref="TakeoverLab"/>: a network, a mount of the shared directory, a server. It dies as a machine does and is started again.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class LabNode(string name, string address, string linkAddress, NetworkNamespace network, NetworkNamespace bridge, string store, string mountPoint, string[] files, Action<string> note) : IAsyncDisposable
{
    private static readonly Lazy<Task<string>> s_announce = new(() => Ndblast.CompileAsync("garp"));

    private readonly List<string> _outputs = [];
    private NodeFileSystem? _files;
    private Collector? _server;

    /// <summary>Its own address, which does not move.</summary>
    public string Address => address;

    public string LinkAddress => linkAddress;

    public NetworkNamespace Network => network;

    /// <summary>Where it sees the shared directory.</summary>
    public string Directory => mountPoint;

    /// <summary>The server that runs.</summary>
    public Collector Server => _server!;

    public string Output => string.Join($"\n-- {name}, started again --\n", [.. _outputs, $"-- {name} --\n{_server?.Output}"]);

    /// <summary>The bridge's end of the cable to a network.</summary>
    public static string PortOf(NetworkNamespace network) => $"to-{network.Name[(network.Name.LastIndexOf('-') + 1)..]}";

    /// <summary>Mounts the directory and starts the server, which answers on every address the node has.</summary>
    /// <param name="arguments">Of <c>serve</c>.</param>
    public async Task StartAsync(params string[] arguments)
    {
        _files ??= await NodeFileSystem.MountAsync(store, mountPoint, files);
        _server = await Collector.StartInNetworkAsync(network, name, "0.0.0.0", TakeoverLab.Port, mountPoint, arguments);
        note($"{name} serves");
    }

    /// <summary>The machine is dead: its processes, what they had not synced, its link.</summary>
    public async Task DieAsync()
    {
        note($"{name} dies");
        // A dead machine's kernel answers no ARP either.
        await Task.WhenAll(_server!.KillAsync(), _files!.KillAsync(), UnplugAsync());
        await ForgetServerAsync();
    }

    /// <summary>Nothing reaches it, nor comes from it.</summary>
    public Task UnplugAsync() => bridge.ConfigureAsync($"link set {PortOf(network)} down");

    /// <summary>The dead machine is up again, without the virtual address; nothing runs on it yet.</summary>
    public async Task BootAsync()
    {
        await _files!.DisposeAsync();
        _files = null;
        await DropAddressAsync();
        await bridge.ConfigureAsync($"link set {PortOf(network)} up");
    }

    /// <summary>SIGTERM; fails where it does not end well.</summary>
    public async Task StopAsync()
    {
        note($"{name} is told to stop");
        await _server!.StopAsync();
        note($"{name} has stopped");
        await ForgetServerAsync();
    }

    /// <summary>Stops the server, and the mount where told, as they are, until what this returns is disposed of.</summary>
    public IDisposable Pause(bool withFiles)
    {
        note($"{name} hangs");
        var server = _server!.Pause();
        return new Paused(withFiles ? _files!.Pause() : null, server, () => note($"{name} goes on"));
    }

    /// <summary>It has the virtual address now, and says so.</summary>
    /// <returns>When it had said so, by <see cref="Stopwatch.GetTimestamp"/>.</returns>
    public async Task<long> TakeAddressAsync(bool announces = true)
    {
        string announcement = announces ? $" && {await s_announce.Value} eth0 {TakeoverLab.VirtualAddress}" : "";
        string done = (await network.RunAsync("sh", "-c", $"ip address replace {TakeoverLab.VirtualAddress}/32 dev eth0{announcement}")).Expect(0).Output;
        note($"{name} has the address");
        // garp says when; this process may have got to know long after.
        return announces ? long.Parse(done, CultureInfo.InvariantCulture) : Stopwatch.GetTimestamp();
    }

    /// <summary>It has the virtual address no more.</summary>
    public Task DropAddressAsync() => network.ConfigureAsync($"address delete {TakeoverLab.VirtualAddress}/32 dev eth0");

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await ForgetServerAsync();
        if (_files is not null)
            await _files.DisposeAsync();
        await network.DisposeAsync();
    }

    private async Task ForgetServerAsync()
    {
        var ended = _server!;
        _server = null;
        await ended.DisposeAsync();
        _outputs.Add(ended.Output);
    }

    private sealed class Paused(IDisposable? files, IDisposable server, Action note) : IDisposable
    {
        public void Dispose()
        {
            note();
            files?.Dispose();
            server.Dispose();
        }
    }
}
