using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Scripts;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.ObjectStore;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>The running server: directory, threads, event loop and actors, wired together.</summary>
internal sealed class Server : IDisposable
{
    public const int MaxLoops = 8;

    /// <summary>Below this many dumps at one time a storm of panics in one room finds no place, and the operator should know before.</summary>
    public const int FewSessions = 1000;

    /// <summary>The log line about scripts that have not ended names no more of their dumps.</summary>
    private const int MaxScriptsNamed = 5;

    /// <summary>So long heralds wait for dumps of an earlier process to get their ports back; a file system beneath the dump directory may hang.</summary>
    private static readonly TimeSpan s_resumePatience = TimeSpan.FromSeconds(1);

    /// <summary>So long actors may take to end once sockets close; nothing that they do then is missed by the next start.</summary>
    private static readonly TimeSpan s_closingPatience = TimeSpan.FromMilliseconds(300);

    /// <summary>So long dumps on file systems beneath the dump directory's own are looked for before the others go on without them.</summary>
    private static readonly TimeSpan s_searchPatience = TimeSpan.FromMilliseconds(500);

    /// <summary>A dump's own node ends it when its kernel has been silent for long enough; another one does so that much later.</summary>
    private static readonly TimeSpan s_abandonedMargin = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _stopping = new();
    private readonly ILogger _log;
    private readonly DumpDirectory _directory;
    private readonly HostNameResolver _hostNames;
    private readonly ScriptRunner? _scripts;
    private readonly ThreadDispatcher _script = new("script", 1);
    private readonly ThreadDispatcher _herald = new("heralds", 1);
    private HeraldLedger? _heraldLedger;
    private ActorRef<HeraldActor.Message>? _heralds;
    private ActorRef<ScriptActor.Message>? _scriptRuns;
    private readonly ThreadDispatcher _hash = new("hash", 1, background: true);
    private readonly ThreadDispatcher _retention = new("retention", 1);
    private readonly ThreadDispatcher? _room;
    private readonly ThreadDispatcher? _store;
    private readonly ThreadDispatcher? _uploads;
    private readonly ThreadDispatcher? _stitch;
    private readonly ActorSystem _system;
    private readonly ITransport _transport;
    private readonly FileSystems _fileSystems;
    private readonly IEventLoop[] _loops;
    private readonly IngressGroup _ingresses;
    private readonly ActorRef<HashActor.Message>? _hashes;
    private ActorRef<StoreActor.Message>? _stored;
    private ActorRef<StitchActor.Message>? _stitching;
    private LiveState? _live;
    private Takeovers? _takeovers;

    private Server(CollectorSettings settings, CollectorMetrics metrics, ILogger log, ITransport transport, HostMap hosts)
    {
        Metrics = metrics;
        _log = log;
        _directory = DumpDirectory.Open(settings.Directory, settings.DefaultPath);
        _directory.LeavesHoles = settings.Sparse;
        _directory.Sharing = settings.Takeover ? new(settings.Node) : null;
        _directory.Syncs = new(TimeProvider.System, took => Metrics.Sync.Record(took.TotalSeconds));
        // A dying host waits for it, so its thread is not one that yields to all others.
        _room = settings is { MinFree.IsNone: false, WhenFull: WhenFull.Delete } ? new("room", 1) : null;
        if (settings.Store is { } store)
        {
            _store = new("store", 1);
            _uploads = new("upload", store.Concurrency, background: true);
        }

        if (settings.HasFleet)
            Fleet = new();
        // Nodes that share a directory have all parts in one place.
        bool hasParts = settings is { HasFleet: true, Takeover: false };
        _stitch = hasParts ? new("stitch", 1, background: true) : null;
        if (settings.Script is string script)
        {
            _scripts = new(script, _directory.Root, settings.ScriptConcurrency, TimeSpan.FromSeconds(settings.ScriptTimeoutSeconds), TimeProvider.System);
        }

        _hostNames = new(hosts, TimeProvider.System, HostNameResolver.DefaultDeadline);
        _system = new("collector",
            (path, failure) => CollectorLog.ActorFailed(log, path, failure),
            (path, message) => CollectorLog.DeadLetter(log, path, message.GetType().Name));
        _transport = transport;
        _fileSystems = new(_system, TimeProvider.System, Metrics, log, settings.Takeover);
        _loops = new IEventLoop[LoopsFor(settings, transport)];
        for (int shard = 0; shard < _loops.Length; shard++)
        {
            string name = $"loop-{shard}";
            _loops[shard] = transport.CreateLoop(name, failure => CollectorLog.ActorFailed(log, name, failure));
        }

        Storm = new(settings.Keep);
        FleetLimits = new(settings.MaxClusterSessions);
        _ingresses = new(_loops.Length) { FleetLimits = FleetLimits, Fleet = hasParts && settings.Endpoint == EndpointMode.Shared ? Fleet : null };
        if (settings.Hash == HashPolicy.Deferred)
        {
            _hashes = _system.Spawn<HashActor.Message>("hash", _hash, () => new HashActor(log, _stopping.Token, path => _stored?.Tell(new StoreActor.DumpReady(path))),
                new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        }
    }

    public CollectorMetrics Metrics { get; }

    public IReadOnlyList<IEventLoop> Loops => _loops;

    public ActorSystem Actors => _system;

    /// <summary>The dump directory, absolute.</summary>
    public string Root => _directory.Root;

    /// <summary>Where heralds come to.</summary>
    public (Ipv4 Address, ushort Port) HeraldEndpoint { get; private set; }

    /// <summary>Dumps that have data and have not ended.</summary>
    public int RunningDumps => _ingresses.RunningDumps;

    /// <summary>How much of each dump is stored.</summary>
    public StormPolicy Storm { get; }

    /// <summary>What is known of the other nodes; null without a catalogue. Whoever keeps in touch with that fills it.</summary>
    public FleetState? Fleet { get; }

    /// <summary>How many dumps run on all nodes.</summary>
    public FleetLimits FleetLimits { get; }

    /// <summary>Whether dumps would be taken.</summary>
    public Readiness Readiness { get; private set; } = null!;

    /// <summary>Opens the dump directory and the herald socket and starts to serve.</summary>
    /// <param name="settings">Where, and how.</param>
    /// <param name="metrics">What is counted and told of; it outlives the server.</param>
    /// <param name="logging">Where it is logged.</param>
    /// <exception cref="StorageException">The dump directory or the script cannot be used.</exception>
    /// <exception cref="EndpointException">The herald port cannot be had.</exception>
    /// <exception cref="HostMapException">The hosts file is wrong.</exception>
    public static Server Start(CollectorSettings settings, CollectorMetrics metrics, ILoggerFactory logging)
    {
        var log = logging.CreateLogger("netdump-collector");
        if (settings.Script is string script && ScriptRunner.Check(script) is string problem)
            throw new StorageException($"{problem}; name an executable file with -i");
        var hosts = settings.HostsFile is string file ? HostMap.Load(file) : HostMap.Empty;
        var server = new Server(settings, metrics, log, TransportOf(settings.Transport), hosts);
        try
        {
            server.ReportAccess();
            server.Listen(settings);
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Looks at sessions, threads and room when metrics are read.</summary>
    public LiveState Watch()
    {
        if (_live is not null)
            return _live;
        var live = _live = new LiveState(_ingresses.Members, TimeProvider.System);
        ThreadDispatcher[] threads = [.. new[] { _script, _herald, _hash, _retention, _room, _takeovers?.Threads, _store, _uploads, _stitch }.OfType<ThreadDispatcher>()];
        Metrics.Observe(new RuntimeReadings(live, _loops, _system, _fileSystems, threads, _directory.Root, TimeProvider.System));
        return live;
    }

    /// <summary>Does what can wait until heralds are answered: hashes and scripts that an earlier run did not get to, or not to the end of.</summary>
    public void CatchUp()
    {
        ManifestFile.Prepare();
        _hashes?.Tell(new HashActor.HashLeftOvers(_directory.Root));
        _stored?.Tell(new StoreActor.Begin());
        _stitching?.Tell(new StitchActor.Begin());
        if (_scriptRuns is not { } scripts)
            return;

        foreach (var dump in DumpCatalog.Read(_directory.Root).Dumps)
        {
            // Another node's may be running there; if that node is gone, somebody takes it up (AdoptFollowUps).
            if (_directory.Sharing is { } sharing && dump.Manifest.Node is { } node && node != sharing.FileName)
                continue;
            if (dump.Manifest.ScriptPending && Ipv4.TryParse(dump.Manifest.Client, out var client))
                scripts.Tell(new ScriptActor.DumpCommitted(dump.CommittedIn(_directory.Root), client));
        }

        scripts.Tell(new ScriptActor.LeftOversTold());
    }

    /// <summary>Answers no more heralds and waits until running dumps have ended and are durable: where another node answers the same address.</summary>
    /// <returns>False when some still run after <paramref name="timeout"/>.</returns>
    public bool Drain(TimeSpan timeout)
    {
        Readiness.Leave();
        return Ended(Task.WhenAll(_ingresses.Members.Select(ingress => ingress.Ask<bool>(reply => new IngressActor.Drain(reply), timeout))));
    }

    /// <summary>Ends the server. Dumps that are being made durable are waited for, and their scripts; running ones stay as they are, for the next start to continue.</summary>
    /// <param name="timeout">How long that may take.</param>
    /// <param name="beforeClosing">Called when nothing is waited for any more and all is still served.</param>
    /// <returns>False when a commit took longer than <paramref name="timeout"/>, which the next start takes up, or a thread does not answer. Scripts that took longer are left running and told of.</returns>
    public bool Stop(TimeSpan timeout, Action? beforeClosing = null)
    {
        Readiness.Leave();
        // What is called by that may wait for a database to let go of a question, which nothing here does.
        _ = _stopping.CancelAsync();
        // Sockets stay open meanwhile: from the moment they close, the kernels of running dumps wait, and for no longer than 11 s.
        long started = TimeProvider.System.GetTimestamp();
        bool done = Ended(Task.WhenAll(_ingresses.Members.Select(ingress => ingress.Ask<bool>(done => new IngressActor.AwaitCommits(done), timeout))));
        var left = timeout - TimeProvider.System.GetElapsedTime(started);
        if (_scriptRuns is { } runs && !(left > TimeSpan.Zero && Ended(runs.Ask<bool>(done => new ScriptActor.AwaitEnded(done), left))))
            done &= TryTellOfScripts(runs);
        beforeClosing?.Invoke();
        // All at once: a session that hangs on one loop must not keep the files of the others' dumps open.
        foreach (var ingress in _ingresses.Members)
            ingress.Stop(drain: true);
        _ = _system.StopAsync(s_closingPatience).GetAwaiter().GetResult();
        return done;
    }

    /// <summary>Their manifests say that they have not ended, so that nothing is lost by not waiting.</summary>
    /// <returns>False when nobody knows which they are.</returns>
    private bool TryTellOfScripts(ActorRef<ScriptActor.Message> scripts)
    {
        var listing = scripts.Ask<IReadOnlyList<string>>(reply => new ScriptActor.ListRunning(reply), s_closingPatience);
        if (!Ended(listing))
            return false;
        var files = listing.GetAwaiter().GetResult();
        if (files.Count > 0)
            CollectorLog.ScriptsNotEnded(_log, files.Count, string.Join(", ", files.Take(MaxScriptsNamed)) + (files.Count > MaxScriptsNamed ? ", ..." : ""));
        return true;
    }

    private static bool Ended(Task task)
    {
        try
        {
            task.GetAwaiter().GetResult();
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        _stopping.Cancel();
        foreach (var loop in _loops)
            loop.Dispose();
        _fileSystems.Dispose();
        _script.Dispose();
        _hash.Dispose();
        _retention.Dispose();
        _room?.Dispose();
        _takeovers?.Dispose();
        _store?.Dispose();
        _uploads?.Dispose();
        _stitch?.Dispose();
        _hostNames.Dispose();
        _scripts?.Dispose();
        _heraldLedger?.Dispose();
        _herald.Dispose();
        _directory.Dispose();
        _stopping.Dispose();
    }

    private void ReportAccess()
    {
        if (OperatingSystem.IsWindows())
            return;
        foreach (string finding in _directory.AccessOfOthers())
            CollectorLog.AccessOfOthers(_log, finding);
    }

    private ActorRef<RetentionActor.Message> SpawnRetention(string name, ThreadDispatcher thread, RetentionSetup setup) => _system.Spawn<RetentionActor.Message>(name, thread,
        () => new RetentionActor(setup, TimeProvider.System, Metrics, _log, _stopping.Token), new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });

    private StitchSetup StitchingOf(CollectorSettings settings, Headroom headroom) => new(_directory.Root, settings.Node,
        () => new FleetParts(_directory.Root, Fleet!, FleetReader.Open(FleetHost.AddressOf(settings.Cluster, settings.ClusterFile)!, settings.Node), settings.NodeTokenFile, settings.HttpCertificate is not null), headroom, Metrics, _log)
    {
        Hashes = _hashes,
        Store = _stored,
    };

    private static ITransport TransportOf(TransportChoice choice)
    {
        if (choice == TransportChoice.Auto)
            return Transports.Default;
        string name = choice == TransportChoice.Linux ? "linux" : "portable";
        return Transports.TryGet(name, out var transport)
            ? transport
            : throw new EndpointException($"transport '{name}' does not work on this machine; use --transport auto", EndpointError.Other);
    }

    private static int LoopsFor(CollectorSettings settings, ITransport transport) =>
        !transport.CanShard ? 1 : settings.Loops > 0 ? settings.Loops : Math.Clamp(Environment.ProcessorCount, 1, MaxLoops);

    private static AdmissionOptions AdmissionFor(CollectorSettings settings, int affordable)
    {
        var defaults = new AdmissionOptions();
        return defaults with
        {
            Allowed = settings.Allowed,
            Denied = settings.Denied,
            DumpsPerSource = settings.SourceRate > 0 ? settings.SourceRate
                : settings.Endpoint == EndpointMode.Shared ? AdmissionOptions.DefaultDumpsPerNetwork : AdmissionOptions.DefaultDumpsPerSource,
            DumpsPerNetwork = settings.NetworkRate,
            // Half of the sockets, and of their ports, are for dumps that have begun.
            MaxHalfOpenEndpoints = Math.Clamp(Math.Min(affordable, settings.EndpointPorts.Last - settings.EndpointPorts.First + 1) / 2, 1, defaults.MaxHalfOpenEndpoints),
        };
    }

    private void Listen(CollectorSettings settings)
    {
        int affordable = DescriptorBudget.MaxSessions();
        _directory.MaxTakenOverDescriptors = (long)affordable * (DumpDirectory.DescriptorsPerRunningDump + DumpDirectory.DescriptorsPerEndedDump);
        if (affordable < Math.Min(settings.MaxSessions, FewSessions))
            CollectorLog.FewDescriptors(_log, settings.MaxSessions, affordable);
        var options = new IngressOptions
        {
            Address = settings.Address,
            HeraldPort = settings.Port,
            ClientPort = settings.ClientPort,
            Mode = settings.Endpoint,
            SessionPorts = (settings.EndpointPorts.First, settings.EndpointPorts.Last),
            MaxSessions = settings.MaxSessions,
            MaxOpenDumps = affordable,
            MaxLingeringLedgers = affordable,
            // Each may have one that has just ended beside it.
            MaxOwnEndpoints = (int)Math.Min(2L * affordable, int.MaxValue),
            Admission = AdmissionFor(settings, affordable),
        };
        _scriptRuns = _scripts is not { } runner ? null : _system.Spawn<ScriptActor.Message>("script", _script,
            () => new ScriptActor(runner, Metrics, _log),
            new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        var rejects = new RejectLog(Metrics, _log);
        // A port that the system chooses is another one after each start.
        _heraldLedger = settings.Port == 0 ? null : HeraldLedger.Open(_directory, settings.Port);
        _heralds = _heraldLedger is not { } ledger ? null : _system.Spawn<HeraldActor.Message>("heralds", _herald, () => new HeraldActor(ledger),
            new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        var headroom = new Headroom(settings.MinFree, settings.WhenFull, FileSystemSpace.Of);
        Readiness = new(_directory, headroom, TimeProvider.System);
        var needs = new DumpNeeds(_scripts is null ? TimeSpan.Zero : TimeSpan.FromSeconds(settings.ScriptTimeoutSeconds), Store: settings.Store is not null, Parts: _stitch is not null);
        var retention = new RetentionSetup(_directory.Root, settings.Retention, headroom, needs);
        var retentions = SpawnRetention("retention", _retention, retention);
        retentions.Tell(new RetentionActor.Begin());
        var room = _room is null ? null : SpawnRetention("room", _room, retention);
        _stored = settings.Store is not { } stores ? null : _system.Spawn<StoreActor.Message>("store", _store!,
            () => new StoreActor(new(_directory.Root, stores, stopping => new S3ObjectStore(stores, TimeProvider.System, stopping), TimeProvider.System, Metrics, _log) { HasParts = _stitch is not null }, _uploads!, _stopping.Token),
            new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        _stitching = _stitch is not { } stitch ? null : _system.Spawn<StitchActor.Message>("stitch", stitch, () => new StitchActor(StitchingOf(settings, headroom), _stopping.Token),
            new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        if (Storm.WantsMessage && !PanicPeek.ReadsZstd)
            CollectorLog.NoZstd(_log);
        _takeovers = !settings.Takeover ? null : new(_system,
            new(_directory, settings.Port, _ingresses, TimeSpan.FromSeconds(settings.TimeoutSeconds) + s_abandonedMargin, Metrics, _log) { Scripts = _scriptRuns, Hashes = _hashes });
        IUdpEndpoint? socket = null;
        _ingresses.IsResuming = true;
        // The youngest actors are stopped first: sessions end before the scripts and hashes that follow them.
        for (int shard = 0; shard < _loops.Length; shard++)
        {
            var environment = new SessionEnvironment
            {
                System = _system,
                EventLoop = _loops[shard],
                Loop = new LoopDispatcher(_loops[shard]),
                FileSystems = _fileSystems,
                Directory = _directory,
                Options = new SessionOptions { ClientTimeoutUs = settings.TimeoutSeconds * 1_000_000L },
                HostNames = _hostNames,
                Time = TimeProvider.System,
                Metrics = Metrics,
                Rejects = rejects,
                Logger = _log,
                Hashes = _hashes,
                Scripts = _scriptRuns,
                Heralds = _heralds,
                Takeovers = _takeovers,
                Storm = Storm,
                Headroom = headroom,
                Store = _stored,
                Stitching = _stitching,
                Retention = settings.Retention.IsOff ? null : retentions,
                Room = room,
            };
            _loops[shard].Start();
            socket = _ingresses.SpawnAsync(shard, environment, socket is null ? options : options with { HeraldPort = socket.Port }).GetAwaiter().GetResult();
        }

        var resumed = Task.Run(ResumeAsync);
        LogFailure(resumed);
        Task.WhenAny(resumed, Task.Delay(s_resumePatience)).GetAwaiter().GetResult();
        _ingresses.IsResuming = false;
        HeraldEndpoint = (socket!.Address, socket.Port);
        CollectorLog.Listening(_log, socket!.Address, socket.Port, _transport.Name, settings.Endpoint.ToString().ToLowerInvariant(), _directory.Root);
        int asked = settings.Endpoint == EndpointMode.Shared ? options.SharedBufferBytes : options.HeraldBufferBytes;
        if (socket.ReceiveBufferBytes < asked)
            CollectorLog.SmallReceiveBuffer(_log, socket.ReceiveBufferBytes, asked);
    }

    /// <summary>Continues what an earlier process left: kernels send on to where they were told to.</summary>
    private async Task ResumeAsync()
    {
        // A file system that hangs keeps only its own dumps waiting: they go on when it answers, if their kernels are still there.
        Task<IReadOnlyList<InterruptedDump>>[] searches = [.. _directory.FileSystemTops().Select(top =>
            Task.Factory.StartNew(() => _directory.TakeOver(top, problem => CollectorLog.LeftAsItIs(_log, problem)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        await searches[0].ConfigureAwait(false);
        await Task.WhenAny(Task.WhenAll(searches), Task.Delay(s_searchPatience)).ConfigureAwait(false);
        var found = searches.ToLookup(search => search.IsCompleted);
        InterruptedDump[] dumps = [.. (await Task.WhenAll(found[true]).ConfigureAwait(false)).SelectMany(dumps => dumps)];
        Resume(dumps);
        // A herald is forgotten only after its dump has a ledger.
        var started = dumps.Select(dump => (dump.File.Identity.Client, dump.File.Identity.StartedAt)).ToHashSet();
        foreach (var remembered in _heraldLedger?.LeftOver ?? [])
        {
            if (started.Contains((remembered.Herald.Client, remembered.Herald.At)))
                _heralds?.Tell(new HeraldActor.Drop(remembered.Place));
            else
                _ingresses.Of(remembered.Herald.Client).Tell(new IngressActor.ResumeHerald(remembered));
        }

        await Task.WhenAll(_ingresses.Members.Select(ingress => ingress.Ask<bool>(done => new IngressActor.AwaitResumed(done), s_resumePatience))).ConfigureAwait(false);
        LogFailure(Task.WhenAll(found[false].Select(async search => Resume(await search.ConfigureAwait(false)))));
    }

    private void LogFailure(Task resuming) =>
        resuming.ContinueWith(failed => CollectorLog.ActorFailed(_log, "resume", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    private void Resume(IEnumerable<InterruptedDump> dumps)
    {
        foreach (var dump in dumps.OrderBy(dump => dump.File.Identity.StartedAt))
            _ingresses.Of(dump.File.Identity.Client).Tell(new IngressActor.ResumeDump(dump));
    }
}
