using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Starts the real server on the real port for a moment, and sends it a dump.</summary>
/// <remarks>
/// It has a directory of its own on the dump directory's file system, and neither script, webhook, HTTP nor retention: what the operator has is not touched, and what runs was left by an earlier
/// server is not continued. It answers the trial's own addresses only: a host that panics in this moment repeats its herald, and finds the server that is started next.
/// </remarks>
[UnsupportedOSPlatform("windows")]
internal static class TrialServerCheck
{
    private const long FirstBytes = 32 << 20;
    private const long OtherBytes = 1 << 20;
    private const int MaxOtherAddresses = 4;

    /// <summary>Less free room, and the trial could be what fills the disk.</summary>
    private const long EnoughRoomBytes = 4 * FirstBytes;

    /// <summary>Kernels repeat what is not acked by then.</summary>
    private const double SlowBurstSeconds = 1;

    /// <summary>What a start may take until heralds are answered, of the 11 s that kernels wait for a restart.</summary>
    private static readonly TimeSpan s_slowStart = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan s_stopPatience = TimeSpan.FromSeconds(5);

    /// <param name="settings">What the server would run with.</param>
    /// <param name="directory">The dump directory, or the nearest above it that is there.</param>
    /// <param name="own">This machine's addresses beside the loopback ones.</param>
    /// <param name="onStep">Told how far it is.</param>
    /// <param name="stop">Ends it early; everything is removed all the same.</param>
    public static IEnumerable<Finding> Look(CollectorSettings settings, string directory, IReadOnlyList<Ipv4> own, Action<string> onStep, CancellationToken stop)
    {
        if (FileSystemSpace.Of(directory) is { FreeBytes: < EnoughRoomBytes })
            return [new(FindingLevel.LeftOut, SyntheticDump.Subject, $"less than {ByteSize.Format(EnoughRoomBytes)} are free")];

        var warnings = new WarningLog();
        try
        {
            using var trial = TrialDirectory.Make(directory);
            Ipv4[] servers = settings.Address == Ipv4.Any ? [Ipv4.Loopback, .. own.Take(MaxOtherAddresses)] : [settings.Address];
            return Run(SettingsFor(settings, trial.Path, servers), servers, warnings, onStep, stop);
        }
        catch (Exception e) when (e is StorageException or EndpointException or HostMapException or IOException or UnauthorizedAccessException)
        {
            return [Finding.FromSentence(FindingLevel.Problem, SyntheticDump.Subject, $"{e.Message}{warnings.Text}")];
        }
    }

    /// <summary>What came of it, in words.</summary>
    /// <param name="startedIn">From the first step of the server until it answered heralds; null where that has been told.</param>
    /// <param name="dump">The dump.</param>
    /// <param name="warnings">What the server said.</param>
    public static Finding Judge(TimeSpan? startedIn, SyntheticDump dump, string warnings)
    {
        if (dump.Summary.Failures is [var failure, ..])
        {
            return new(FindingLevel.Problem, SyntheticDump.Subject, string.Create(CultureInfo.InvariantCulture, $"failed {dump.Route} in {failure.Phase} after {ByteSize.Format(dump.Summary.Bytes)}: {failure.Reason}{warnings}"),
                failure.Phase == "herald" ? "let the firewall pass UDP on this machine itself (nft list ruleset, iptables -S)" : "look at what is said of storage and room above");
        }

        if ((dump.Dump is null ? "the dump was acked and is not there" : dump.Difference) is string difference)
            return new(FindingLevel.Problem, SyntheticDump.Subject, $"{difference}{warnings}", "look at the disk and its cables (dmesg, smartctl), and report it");

        string start = startedIn is { } took ? string.Create(CultureInfo.InvariantCulture, $"; the server answered {took.TotalMilliseconds:F0} ms after it began to start") : "";
        string text = $"{dump.Measured}; read back and equal{start}";
        if (dump.Summary.LongestBurstSeconds > SlowBurstSeconds || dump.Summary.RetransmittedPackets > 0)
        {
            return new(FindingLevel.Warning, SyntheticDump.Subject, string.Create(CultureInfo.InvariantCulture, $"{text}, but {dump.Summary.RetransmittedPackets} packets had to be sent again, on one machine"),
                "raise net.core.rmem_max; look at the load of processors and disk (vmstat 1)");
        }

        return startedIn > s_slowStart
            ? new(FindingLevel.Warning, SyntheticDump.Subject, $"{text}, which is slow; dumps that a restart interrupts wait for it", "look at the load of processors and disk (vmstat 1)")
            : new(FindingLevel.Ok, SyntheticDump.Subject, text);
    }

    private static List<Finding> Run(CollectorSettings settings, Ipv4[] servers, WarningLog warnings, Action<string> onStep, CancellationToken stop)
    {
        var findings = new List<Finding>();
        onStep("starting a server");
        long begun = Stopwatch.GetTimestamp();
        using var metrics = new CollectorMetrics(TimeProvider.System);
        using var server = Server.Start(settings, metrics, warnings);
        try
        {
            var startedIn = Stopwatch.GetElapsedTime(begun);
            foreach (var address in servers)
            {
                long sizeBytes = findings.Count == 0 ? FirstBytes : OtherBytes;
                var dump = SyntheticDump.Send(address, settings, sizeBytes,
                    ackedBytes => onStep($"{ByteSize.Format(ackedBytes)} of {ByteSize.Format(sizeBytes)} to {address}"), stop);
                findings.Add(Judge(findings.Count == 0 ? startedIn : null, dump, warnings.Text));
            }

            return findings;
        }
        finally
        {
            server.Stop(s_stopPatience);
        }
    }

    private static CollectorSettings SettingsFor(CollectorSettings settings, string trial, Ipv4[] servers)
    {
        // The time that a name server takes is looked at elsewhere.
        string hosts = Path.Join(trial, "hosts");
        File.WriteAllText(hosts, $"0.0.0.0/0 {SyntheticDump.HostName}\n");
        return settings with
        {
            Directory = Path.Join(trial, "dumps"),
            DefaultPath = null,
            HostsFile = hosts,
            Script = null,
            PidFile = null,
            Hash = HashPolicy.Off,
            Keep = Protocol.Storm.KeepPolicy.Full,
            Retention = new(),
            MinFree = MinFree.None,
            Http = HttpBinding.Off,
            Webhook = null,
            Store = null,
            Cluster = null,
            ClusterFile = null,
            Takeover = false,
            Port = settings.Port == 0 ? SyntheticDump.FreePort(0) : settings.Port,
            ClientPort = SyntheticDump.FreePort(settings.ClientPort),
            Allowed = new(servers.Select(server => new Ipv4Network(SyntheticDump.SourceFor(server), 32))),
            Denied = Ipv4Networks.None,
        };
    }

    /// <summary>Keeps what the server warns of, for the case that the dump fails.</summary>
    private sealed class WarningLog : ILoggerFactory, ILogger
    {
        private readonly List<string> _lines = [];

        public string Text
        {
            get
            {
                lock (_lines)
                    return string.Concat(_lines.Distinct().Select(line => $"; the server says: {line}"));
            }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("warnings are kept here alone");

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
                return;
            lock (_lines)
                _lines.Add(formatter(state, exception));
        }

        public void Dispose()
        {
        }
    }
}
