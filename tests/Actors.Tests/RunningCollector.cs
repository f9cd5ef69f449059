using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Scripts;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>How a <see cref="RunningCollector"/> is to be wired.</summary>
internal sealed record CollectorSetup
{
    public required string Transport { get; init; }
    public EndpointMode Mode { get; init; } = EndpointMode.Ephemeral;

    /// <summary>Address to bind; one that no other test uses when null.</summary>
    public Ipv4? Address { get; init; }
    public SessionOptions Sessions { get; init; } = new();
    public (ushort From, ushort To) SessionPorts { get; init; } = (20100, 28999);
    public int MaxSessions { get; init; } = 4096;
    public int MaxOpenDumps { get; init; } = int.MaxValue;
    public int MaxLingeringLedgers { get; init; } = int.MaxValue;
    public int MaxHalfOpen { get; init; } = 4096;
    public int MaxOwnEndpoints { get; init; } = int.MaxValue;
    public AdmissionOptions Admission { get; init; } = new();
    public KeepPolicy Keep { get; init; } = KeepPolicy.Full;

    /// <summary>The node's name where it shares the dump directory with others, or null.</summary>
    public string? Node { get; init; }

    /// <summary>What is known of the fleet where nodes share no directory, or null.</summary>
    public FleetState? Fleet { get; init; }

    /// <summary>The address, herald port and clients' port of another collector, whose place this one takes; null for ones of its own.</summary>
    public RunningCollector? InPlaceOf { get; init; }

    /// <summary>The dump directory; a temporary one when null.</summary>
    public string? Directory { get; init; }
    public bool Hashes { get; init; }

    /// <summary>Body of a shell script that runs after each dump.</summary>
    public string? Script { get; init; }

    /// <summary>Names of hosts; "panicked" for all when null.</summary>
    public Func<Ipv4, string?>? LookUp { get; init; }

    public TimeSpan LookUpDeadline { get; init; } = Eventually.Deadline;

    /// <summary>The clock by which file systems are judged.</summary>
    public TimeProvider StorageTime { get; init; } = TimeProvider.System;

    /// <summary>Event loops, where the transport can have several.</summary>
    public int Loops { get; init; } = 2;

    /// <summary>The kernel brings every client's packets to the herald socket of a loop that the client does not belong to, see <see cref="CrossedLoop"/>.</summary>
    public bool CrossesLoops { get; init; }

    /// <summary>Puts something between actors and event loop.</summary>
    public Func<IEventLoop, IEventLoop> Decorate { get; init; } = loop => loop;
}

/// <summary>Everything that the server wires, in this process, on addresses of its own.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class RunningCollector : IAsyncDisposable
{
    private static int s_lastAddress;

    private readonly ThreadDispatcher _scriptThread = new("script", 1);
    private readonly ThreadDispatcher _hashThread = new("hash", 1);
    private readonly CancellationTokenSource _stopping = new();
    private readonly string _temporary = Directory.CreateTempSubdirectory("netdump-actors-").FullName;
    private readonly DumpDirectory _directory;
    private readonly HostNameResolver _hostNames;
    private readonly ScriptRunner? _scripts;
    private readonly FileSystems _fileSystems;
    private readonly IEventLoop[] _loops;
    private readonly IngressGroup _ingresses;
    private readonly List<WireClient> _clients = [];
    private readonly Ipv4 _serverAddress;
    private readonly ushort _clientPort;
    private IUdpEndpoint? _socket;
    private Takeovers? _takeovers;

    private RunningCollector(CollectorSetup setup)
    {
        Assert.True(Transports.TryGet(setup.Transport, out var transport));
        Root = setup.Directory ?? Path.Combine(_temporary, "dumps");
        _directory = DumpDirectory.Open(Root, defaultPath: null);
        _directory.Sharing = setup.Node is string node ? new(node) : null;
        _hostNames = setup.LookUp is { } lookUp
            ? new(HostMap.Empty, TimeProvider.System, setup.LookUpDeadline, lookUp, maxCached: 100)
            : new(HostMap.Parse(["127.0.0.0/8 panicked"], "hosts"), TimeProvider.System, HostNameResolver.DefaultDeadline);
        Actors = new("test", (path, failure) => CollectorLog.ActorFailed(Log, path, failure));
        _fileSystems = new(Actors, setup.StorageTime, Metrics, Log);
        _loops = [.. Enumerable.Range(0, transport.CanShard ? setup.Loops : 1)
            .Select(_ => setup.Decorate(transport.CreateLoop("test", failure => CollectorLog.ActorFailed(Log, "loop", failure))))
            .Select(loop => setup.CrossesLoops ? new CrossedLoop(loop, HeraldSteering) : loop)];
        _ingresses = new(_loops.Length) { Fleet = setup.Fleet };
        _serverAddress = setup.InPlaceOf?.ServerAddress ?? NextAddress();
        _clientPort = setup.InPlaceOf?.ClientPort ?? FreePort();
        if (setup.Script is string body)
            _scripts = new(WriteScript(body), Root, ScriptRunner.DefaultMaxRunning, ScriptRunner.DefaultTimeout, TimeProvider.System);
    }

    public string Root { get; }

    public RecordingLogger Log { get; } = new();

    public CollectorMetrics Metrics { get; } = new(TimeProvider.System);

    public ActorSystem Actors { get; }

    public FileSystems FileSystems => _fileSystems;

    public IngressGroup Ingresses => _ingresses;

    public ActorRef<HashActor.Message>? Hashes { get; private set; }

    /// <summary>The address that clients dump to.</summary>
    public Ipv4 ServerAddress => _serverAddress;

    public ushort HeraldPort => _socket!.Port;

    /// <summary>The port that clients send from.</summary>
    public ushort ClientPort => _clientPort;

    /// <summary>Where herald sockets got their datagrams, when <see cref="CollectorSetup.CrossesLoops"/>.</summary>
    public CrossedLoop.Steering HeraldSteering { get; } = new();

    /// <summary>Dumps that ended, the oldest first.</summary>
    public IReadOnlyList<CatalogedDump> Dumps => DumpCatalog.Read(Root).Dumps;

    public static async Task<RunningCollector> StartAsync(CollectorSetup setup)
    {
        var collector = new RunningCollector(setup);
        try
        {
            await collector.ListenAsync(setup);
            return collector;
        }
        catch
        {
            await collector.DisposeAsync();
            throw;
        }
    }

    /// <summary>A loopback address that nothing else of this test run uses.</summary>
    public static Ipv4 NextAddress() =>
        new((127u << 24) + (uint)(32 + Environment.ProcessId % 192 << 16) + (uint)Interlocked.Increment(ref s_lastAddress));

    /// <summary>A host with an address of its own.</summary>
    public WireClient NewClient()
    {
        var client = new WireClient(NextAddress(), _clientPort, _serverAddress, HeraldPort);
        _clients.Add(client);
        return client;
    }

    /// <summary>The dumps of one client, once there are <paramref name="count"/>.</summary>
    public Task<CatalogedDump[]> DumpsOf(WireClient client, int count) => Eventually.Gets(
        () => Dumps.Where(dump => dump.Manifest.Client == client.Address.ToString()).ToArray() is var dumps && dumps.Length >= count ? dumps : null,
        $"{count} dumps of {client.Address}; the log says\n{Log.All}");

    /// <summary>Runs scripts; null when the setup names none.</summary>
    public ActorRef<ScriptActor.Message>? Scripts { get; private set; }

    /// <summary>The one dump of a client.</summary>
    public async Task<Manifest> DumpOf(WireClient client) => Assert.Single(await DumpsOf(client, 1)).Manifest;

    /// <summary>The client's dump ended complete and its file is what was sent.</summary>
    public async Task<Manifest> AssertComplete(WireClient client, TestDump sent)
    {
        var dump = Assert.Single(await DumpsOf(client, 1));
        AssertComplete(dump, sent);
        return dump.Manifest;
    }

    public static void AssertComplete(CatalogedDump dump, TestDump sent)
    {
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.True(sent.Content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)), $"{dump.VmcorePath} differs from what was sent");
    }

    public Task Rejected(RejectReason reason, long count) =>
        Eventually.Holds(() => Metrics.Rejected(reason) == count, $"{count} packets counted as {reason}, now {Metrics.Rejected(reason)}");

    /// <summary>Ends running dumps as the server does when it stops.</summary>
    public async Task<bool> DrainAsync() =>
        (await Task.WhenAll(_ingresses.Members.Select(ingress => ingress.Ask<bool>(reply => new IngressActor.Drain(reply), Eventually.Deadline)))).All(drained => drained);

    /// <summary>This process's sockets that are bound to the server's address, by their inodes.</summary>
    public int OpenSockets()
    {
        // As the kernel prints it: the address's bytes in the order of the wire, read as a number of this machine.
        string address = $"{(uint)IPAddress.HostToNetworkOrder((int)_serverAddress.Value):X8}:";
        var bound = File.ReadLines("/proc/net/udp").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(fields => fields[1].StartsWith(address, StringComparison.Ordinal)).Select(fields => $"socket:[{fields[9]}]").ToHashSet();
        return Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(path => LinkOf(path) is string link && bound.Contains(link));
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        bool stopped = await Actors.StopAsync(Eventually.Deadline);
        foreach (var loop in _loops)
            loop.Dispose();
        _fileSystems.Dispose();
        _scriptThread.Dispose();
        _hashThread.Dispose();
        _takeovers?.Dispose();
        _hostNames.Dispose();
        _scripts?.Dispose();
        _directory.Dispose();
        _stopping.Dispose();
        foreach (var client in _clients)
            client.Dispose();
        Directory.Delete(_temporary, recursive: true);
        Assert.True(stopped, $"the actors did not stop; the log says\n{Log.All}");
    }

    private static string? LinkOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            // Closed meanwhile.
            return null;
        }
    }

    private static ushort FreePort()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        probe.Bind(new IPEndPoint(IPAddress.Any, 0));
        return (ushort)((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    private string WriteScript(string body)
    {
        string path = Path.Combine(_temporary, "after-dump");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private async Task ListenAsync(CollectorSetup setup)
    {
        if (setup.Hashes)
            Hashes = Actors.Spawn<HashActor.Message>("hash", _hashThread, () => new HashActor(Log, _stopping.Token), new() { Strategy = SupervisorStrategy.Resume });
        var scripts = Scripts = _scripts is null ? null : Actors.Spawn<ScriptActor.Message>("script", _scriptThread, () => new ScriptActor(_scripts, Metrics, Log), new() { Strategy = SupervisorStrategy.Resume });
        var options = new IngressOptions
        {
            Address = setup.Address ?? _serverAddress,
            HeraldPort = setup.InPlaceOf?.HeraldPort ?? 0,
            ClientPort = _clientPort,
            Mode = setup.Mode,
            SessionPorts = setup.SessionPorts,
            MaxSessions = setup.MaxSessions,
            MaxOpenDumps = setup.MaxOpenDumps,
            MaxLingeringLedgers = setup.MaxLingeringLedgers,
            MaxHalfOpen = setup.MaxHalfOpen,
            MaxOwnEndpoints = setup.MaxOwnEndpoints,
            Admission = setup.Admission,
        };
        _takeovers = setup.Node is null ? null : new(Actors, new(_directory, setup.InPlaceOf?.HeraldPort ?? 0, _ingresses, TimeSpan.FromMinutes(10), Metrics, Log) { Scripts = scripts, Hashes = Hashes });
        // Sockets are opened in the order of what they call themselves.
        var storm = new StormPolicy(setup.Keep);
        var shards = Enumerable.Range(0, _loops.Length);
        foreach (int shard in setup.CrossesLoops ? shards.Reverse() : shards)
        {
            var environment = new SessionEnvironment
            {
                System = Actors,
                EventLoop = _loops[shard],
                Loop = new LoopDispatcher(_loops[shard]),
                FileSystems = _fileSystems,
                Directory = _directory,
                Options = setup.Sessions,
                Storm = storm,
                HostNames = _hostNames,
                Time = TimeProvider.System,
                Metrics = Metrics,
                Rejects = new(Metrics, Log),
                Logger = Log,
                Hashes = Hashes,
                Scripts = scripts,
                Takeovers = _takeovers,
            };
            _loops[shard].Start();
            _socket = await _ingresses.SpawnAsync(shard, environment, _socket is null ? options : options with { HeraldPort = _socket.Port }).WaitAsync(Eventually.Deadline);
        }
    }
}
