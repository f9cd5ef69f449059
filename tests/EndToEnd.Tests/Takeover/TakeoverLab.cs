using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>Two nodes that share a directory and a virtual address, and the network of their clients, joined by a bridge: each a network namespace of its own.</summary>
/// <remarks>What keepalived does is told to the nodes one by one, so that every order of it can be met.</remarks>
[UnsupportedOSPlatform("windows")]
internal sealed class TakeoverLab : IAsyncDisposable
{
    /// <summary>Where clients send to, whichever node has it (RFC 5737).</summary>
    public const string VirtualAddress = "192.0.2.10";

    public const int Port = WellKnown.HeraldPort;

    /// <summary>Of what is random in tests; NETDUMP_SIM_SEED repeats a run, as far as threads and clocks let it.</summary>
    public static readonly int Seed = int.TryParse(Environment.GetEnvironmentVariable("NETDUMP_SIM_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : Random.Shared.Next();

    // RFC 2544; every address of it is the clients' own.
    private const string ClientNetwork = "198.18.0.0/16";
    private const int ClientsAtOnce = 256;

    private readonly NetworkNamespace _switch;
    private readonly ConcurrentQueue<string> _events = new();
    private int _clients;

    private TakeoverLab(string directory, NetworkNamespace bridge, NetworkNamespace clients, NetworkNamespace a, NetworkNamespace b, string[] files)
    {
        Store = Path.Combine(directory, "store");
        _switch = bridge;
        Clients = clients;
        A = new("node-a", "192.0.2.1", "02:00:00:00:00:01", a, bridge, Store, Path.Combine(directory, "a"), files, Note);
        B = new("node-b", "192.0.2.2", "02:00:00:00:00:02", b, bridge, Store, Path.Combine(directory, "b"), files, Note);
    }

    /// <summary>What the nodes share, as whoever survives them sees it.</summary>
    public string Store { get; }

    public NetworkNamespace Clients { get; }

    /// <summary>Has the virtual address first.</summary>
    public LabNode A { get; }

    public LabNode B { get; }

    /// <summary>What was done to the nodes and when, and what all of their processes printed.</summary>
    public string Output => $"{string.Join('\n', _events)}\n{A.Output}\n{B.Output}";

    /// <summary>Joins the networks; nothing runs on the nodes yet.</summary>
    /// <param name="directory">Where store and mounts are made.</param>
    /// <param name="files">Options of the nodes' <see cref="NodeFileSystem"/>.</param>
    public static async Task<TakeoverLab> CreateAsync(string directory, params string[] files)
    {
        var lab = new TakeoverLab(directory, await NetworkNamespace.CreateAsync("switch"), await NetworkNamespace.CreateAsync("clients"),
            await NetworkNamespace.CreateAsync("a"), await NetworkNamespace.CreateAsync("b"), files);
        try
        {
            Directory.CreateDirectory(lab.Store);
            await lab._switch.ConfigureAsync("link add bridge type bridge forward_delay 0", "link set bridge up");
            await lab.JoinAsync(lab.Clients);
            await lab.JoinAsync(lab.A.Network);
            await lab.JoinAsync(lab.B.Network);
            await lab.Clients.ConfigureAsync("link set eth0 up", "address add 192.0.2.100/24 dev eth0", $"route add local {ClientNetwork} dev lo");
            foreach (var node in (LabNode[])[lab.A, lab.B])
            {
                await node.Network.ConfigureAsync(
                    $"link set eth0 address {node.LinkAddress} up", $"address add {node.Address}/24 dev eth0", $"route add {ClientNetwork} dev eth0");
                // Who may get the virtual address binds to it beforehand.
                (await node.Network.RunAsync("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind")).Expect(0);
            }

            await lab.A.TakeAddressAsync();
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>The node that is not <paramref name="node"/>.</summary>
    public LabNode OtherThan(LabNode node) => node == A ? B : A;

    /// <summary>The first of 256 addresses for clients that nobody had before.</summary>
    public Ipv4 NewClients()
    {
        Assert.True(_clients < 256, $"{ClientNetwork} is all given away");
        return new((198u << 24) + (18u << 16) + (uint)(ClientsAtOnce * _clients++) + 1);
    }

    /// <summary>Whatever ARP says, packets for the virtual address go to <paramref name="node"/>, until ARP is asked again.</summary>
    public Task SendToAsync(LabNode node) => Clients.ConfigureAsync($"neighbour replace {VirtualAddress} lladdr {node.LinkAddress} dev eth0 nud permanent");

    public async ValueTask DisposeAsync()
    {
        await A.DisposeAsync();
        await B.DisposeAsync();
        await Clients.DisposeAsync();
        await _switch.DisposeAsync();
    }

    private void Note(string what) => _events.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HH:mm:ss.fff} {what}"));

    private Task JoinAsync(NetworkNamespace network) => _switch.ConfigureAsync(
        $"link add {LabNode.PortOf(network)} type veth peer name eth0 netns {network.Name}",
        $"link set {LabNode.PortOf(network)} master bridge up");
}

/// <summary>A theory in a <see cref="TakeoverLab"/>; skipped without the rights or, except in CI, the programs for it.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class TakeoverTheoryAttribute : TheoryAttribute
{
    public TakeoverTheoryAttribute()
    {
        bool mustRun = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI"));
        if (!SlowFileSystem.CanMount && !mustRun)
            Skip = "needs network namespaces and FUSE mounts, which take root and /dev/fuse";
        else if (!(SlowFileSystem.HasLibrary && HasIp()) && !mustRun)
            Skip = "iproute2 for network namespaces, and gcc, pkg-config and libfuse3-dev to compile the tools of bench/tools are needed";
    }

    private static bool HasIp() => ((string[])["/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip"]).Any(File.Exists);
}
