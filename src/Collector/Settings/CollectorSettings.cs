using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Settings;

/// <summary>The settings a server runs with, each value validated; what each means stands in <see cref="SettingsTable"/>.</summary>
internal sealed record CollectorSettings
{
    /// <summary>Nothing given: every setting has its default.</summary>
    public static CollectorSettings Defaults { get; } =
        SettingsResolution.Resolve(new Dictionary<Setting, string>(), new Dictionary<string, string>()).ToSettings();

    public required Ipv4 Address { get; init; }
    public required string Directory { get; init; }
    public required string? Script { get; init; }
    public required string? PidFile { get; init; }
    public required string? DefaultPath { get; init; }
    public required bool Debug { get; init; }

    /// <summary>0 for one that the system picks.</summary>
    public required ushort Port { get; init; }
    public required ushort ClientPort { get; init; }
    public required EndpointMode Endpoint { get; init; }
    public required bool Takeover { get; init; }
    public required string Node { get; init; }
    public required PortRange EndpointPorts { get; init; }
    public required KeepPolicy Keep { get; init; }
    public required bool Sparse { get; init; }
    public required HashPolicy Hash { get; init; }
    public required string? HostsFile { get; init; }
    public required int TimeoutSeconds { get; init; }
    public required int DrainSeconds { get; init; }
    public required int ScriptTimeoutSeconds { get; init; }
    public required int ScriptConcurrency { get; init; }
    public required int MaxSessions { get; init; }

    public required Ipv4Networks Allowed { get; init; }
    public required Ipv4Networks Denied { get; init; }

    /// <summary>0 for what suits the endpoint mode.</summary>
    public required int SourceRate { get; init; }
    public required int NetworkRate { get; init; }
    public required RetentionPolicy Retention { get; init; }
    public required MinFree MinFree { get; init; }
    public required WhenFull WhenFull { get; init; }

    /// <summary>Null for none.</summary>
    public required StoreOptions? Store { get; init; }
    public required ClusterAddress? Cluster { get; init; }
    public required string? ClusterFile { get; init; }

    /// <summary>Null for what --http says.</summary>
    public required Uri? NodeUrl { get; init; }
    public required int? MaxClusterSessions { get; init; }

    /// <summary>Null for none.</summary>
    public required string? NodeTokenFile { get; init; }

    /// <summary>The node has a catalogue that it shares with others.</summary>
    public bool HasFleet => Cluster is not null || ClusterFile is not null;

    /// <summary>0 for as many as the machine has use for.</summary>
    public required int Loops { get; init; }
    public required TransportChoice Transport { get; init; }
    public required HttpBinding Http { get; init; }
    public required string? TokenFile { get; init; }
    public required string? AuditLog { get; init; }
    public required string? HttpCertificate { get; init; }
    public required string? HttpKey { get; init; }

    /// <summary>Null for none.</summary>
    public required Uri? Webhook { get; init; }
    public required string? WebhookSecretFile { get; init; }
    public required LogFormat LogFormat { get; init; }
    public required ProgressDisplay Progress { get; init; }
    public required string? ConfigFile { get; init; }
}
