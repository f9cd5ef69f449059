using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Settings;

/// <summary>Every setting there is. Options, environment variables, configuration keys, <c>config</c>'s output and the help are made from this table.</summary>
internal static class SettingsTable
{
    private const string FilePath = "a file path, or nothing";
    private const string Networks = "networks such as 192.0.2.0/24 (no bits set beyond the prefix) or addresses, separated by commas, or nothing";

    public static readonly Setting<Ipv4> Address = new("address", "0.0.0.0", SettingValues.TryAddress, "an IPv4 address such as 192.0.2.1",
        "Address to listen on.")
    { Letter = 'a', ValueName = "ADDR" };

    public static readonly Setting<string> Directory = new("directory", "./dumps", SettingValues.TryPath, "a directory path",
        "Directory the dumps land in; it is created when missing.")
    { Letter = 'd', ValueName = "DIR" };

    public static readonly Setting<string?> Script = new("script", "", SettingValues.TryOptionalPath, FilePath,
        "Program to run after each dump: SCRIPT REASON CLIENT-IP HOST INFO-FILE CORE-FILE.")
    { Letter = 'i', ValueName = "SCRIPT" };

    public static readonly Setting<string?> PidFile = new("pidfile", "", SettingValues.TryOptionalPath, FilePath,
        "File to write the process id to.")
    { Letter = 'P', ValueName = "FILE" };

    public static readonly Setting<string?> DefaultPath = new("path", "", SettingValues.TryRelativePath, "a path inside the dump directory (relative, without ..), or nothing",
        "Subdirectory of the dump directory for clients that name none.")
    { Letter = 'p', ValueName = "PATH" };

    public static readonly Setting<bool> Debug = new("debug", "false", SettingValues.TryFlag, "true or false",
        "Accepted because netdumpd has it; no effect, the server always stays in the foreground.")
    { Letter = 'D', Kind = SettingKind.Flag };

    public static readonly Setting<ushort> Port = new("port", "20023", SettingValues.Port(0), "a port number from 0 (any free port) to 65535",
        "UDP port that heralds come to.")
    { Kind = SettingKind.Number, ValueName = "PORT" };

    public static readonly Setting<ushort> ClientPort = new("client-port", "20024", SettingValues.Port(1), "a port number from 1 to 65535",
        "UDP port of the clients, where acks go.")
    { Kind = SettingKind.Number, ValueName = "PORT" };

    public static readonly Setting<EndpointMode> Endpoint = new("endpoint", "ephemeral", SettingValues.TryChoice, Choices<EndpointMode>(),
        "'ephemeral': a port per session, as netdumpd does; 'shared': all on the herald port, for NAT and load balancers.")
    { ValueName = Names<EndpointMode>() };

    public static readonly Setting<bool> Takeover = new("takeover", "false", SettingValues.TryFlag, "true or false",
        "Share the dump directory with other nodes behind one virtual address: each continues dumps that another one began. Needs --endpoint shared; acks wait for the device.")
    { Kind = SettingKind.Flag };

    public static readonly Setting<string?> Node = new("node", "auto", SettingValues.TryNode, "auto, or at most 63 of A-Z a-z 0-9 _ . - and no dot at the start",
        "Name of this node among those that share a dump directory or a catalogue; 'auto' is the machine's name.")
    { ValueName = "auto|NAME" };

    public static readonly Setting<PortRange> EndpointPorts = new("endpoint-ports", "20100-28999", SettingValues.TryPortRange, "FROM-TO with ports from 1 to 65535",
        "Ports that ephemeral sessions use.")
    { ValueName = "FROM-TO" };

    public static readonly Setting<HashPolicy> Hash = new("hash", "deferred", SettingValues.TryChoice, Choices<HashPolicy>(),
        "SHA-256 of finished dumps for the manifest: after the transfer, or not at all.")
    { ValueName = Names<HashPolicy>() };

    public static readonly Setting<KeepPolicy> Keep = new("keep", "full", SettingValues.TryKeep,
        "full, head:SIZE with at least 8K such as head:1M, auto, or auto:N with a number from 1 to 1000",
        "How much of each dump is stored: all; its first bytes; or all of the first N (3) with the same panic message in an hour, and 1 MiB of the others.")
    { ValueName = "full|head:SIZE|auto[:N]" };

    public static readonly Setting<bool> Sparse = new("sparse", "false", SettingValues.TryFlag, "true or false",
        "Leave pages of zeros out of the files, as holes: they read the same and take no room.")
    { Kind = SettingKind.Flag };

    public static readonly Setting<string?> Hosts = new("hosts", "", SettingValues.TryOptionalPath, FilePath,
        "File that maps addresses or networks to host names, one 'ADDR[/BITS] NAME' a line.")
    { ValueName = "FILE" };

    public static readonly Setting<HttpBinding> Http = new("http", "127.0.0.1:9464", HttpBinding.TryParse, HttpBinding.Allowed,
        "Where the status page (/), metrics (/metrics), health (/healthz, /readyz) and the API (/api/v1) are answered over HTTP, or off.")
    { ValueName = "ADDR:PORT|off" };

    public static readonly Setting<string?> TokenFile = new("token-file", "", SettingValues.TryOptionalPath, FilePath,
        "File with who may do what over HTTP, one 'NAME ROLE TOKEN' a line with the role view, download or admin; without it everybody may look, and nobody reads or changes dumps.")
    { ValueName = "FILE" };

    public static readonly Setting<string?> AuditLog = new("audit-log", "", SettingValues.TryOptionalPath, FilePath,
        "File that tells who read or changed which dump over HTTP, one JSON object a line; with --token-file and no other name, .audit.jsonl in the dump directory.")
    { ValueName = "FILE" };

    public static readonly Setting<string?> HttpCertificate = new("http-certificate", "", SettingValues.TryOptionalPath, FilePath,
        "PEM file with the certificate, and those that lead to its authority, by which HTTP is encrypted.")
    { ValueName = "FILE" };

    public static readonly Setting<string?> HttpKey = new("http-key", "", SettingValues.TryOptionalPath, FilePath,
        "PEM file with the certificate's private key, where the certificate's file does not have it.")
    { ValueName = "FILE" };

    public static readonly Setting<Uri?> Webhook = new("webhook", "off", SettingValues.TryWebhook, "off, or an http or https URL without user and fragment",
        "Where a CloudEvents JSON event is posted when a dump starts, ends, or many start at once; or off.")
    { ValueName = "URL|off" };

    public static readonly Setting<string?> WebhookSecret = new("webhook-secret", "", SettingValues.TryOptionalPath, FilePath,
        "File with the secret that events are signed with (X-Netdump-Signature-256: sha256=HMAC of the body).")
    { ValueName = "FILE" };

    public static readonly Setting<LogFormat> LogFormat = new("log-format", "text", SettingValues.TryChoice, Choices<LogFormat>(),
        "netdumpd's lines, or one JSON object a line.")
    { ValueName = Names<LogFormat>() };

    public static readonly Setting<int> Timeout = new("timeout", "600", SettingValues.Whole(1, 86_400), "seconds from 1 to 86400",
        "Silence after which a client counts as dead.")
    { Kind = SettingKind.Number, ValueName = "SECONDS" };

    public static readonly Setting<int> Drain = new("drain", "0", SettingValues.Whole(0, 86_400), "seconds from 0 to 86400",
        "At SIGTERM, answer no more heralds and wait so long for running dumps; only where another node answers the same address. 0: leave them to the next start.")
    { Kind = SettingKind.Number, ValueName = "SECONDS" };

    public static readonly Setting<int> ScriptTimeout = new("script-timeout", "300", SettingValues.Whole(1, 86_400), "seconds from 1 to 86400",
        "Time a script may take before it is killed.")
    { Kind = SettingKind.Number, ValueName = "SECONDS" };

    public static readonly Setting<int> ScriptConcurrency = new("script-concurrency", "4", SettingValues.Whole(1, 1024), "a number from 1 to 1024",
        "Scripts that may run at the same time.")
    { Kind = SettingKind.Number, ValueName = "N" };

    public static readonly Setting<int> MaxSessions = new("max-sessions", "4096", SettingValues.Whole(1, 1_000_000), "a number from 1 to 1000000",
        "Dumps that may run at the same time.")
    { Kind = SettingKind.Number, ValueName = "N" };

    public static readonly Setting<Ipv4Networks> Allow = new("allow", "", SettingValues.TryNetworks, Networks,
        "Serve only these networks; repeatable, or separated by commas. The others get no answer.")
    { IsList = true, ValueName = "CIDR" };

    public static readonly Setting<Ipv4Networks> Deny = new("deny", "", SettingValues.TryNetworks, Networks,
        "Do not serve these networks, even if allowed; repeatable, or separated by commas.")
    { IsList = true, ValueName = "CIDR" };

    public static readonly Setting<int> SourceRate = new("source-rate", "auto", SettingValues.WholeOrAuto(1, 1_000_000), "auto, or a number from 1 to 1000000",
        "New dumps of one address per minute; 'auto' is 60, or 6000 with shared endpoints, where an address may stand for many hosts.")
    { ValueName = "auto|N" };

    public static readonly Setting<int> NetworkRate = new("network-rate", "6000", SettingValues.Whole(1, 1_000_000), "a number from 1 to 1000000",
        "New dumps of one /24 network per minute.")
    { Kind = SettingKind.Number, ValueName = "N" };

    public static readonly Setting<TimeSpan?> RetainAge = new("retain-age", "off", SettingValues.OrOff<TimeSpan>(SettingValues.TryAge), "off, or a number with s, m, h, d or w such as 30d",
        "Delete dumps that started longer ago, such as 30d; like all of retention never the newest complete one of a host, nor a pinned one.")
    { ValueName = "off|AGE" };

    public static readonly Setting<int?> RetainCount = new("retain-count", "off", SettingValues.OrOff(SettingValues.Whole(1, 1_000_000)), "off, or a number from 1 to 1000000",
        "Delete dumps of a host that so many newer ones of it have followed.")
    { ValueName = "off|N" };

    public static readonly Setting<long?> RetainSize = new("retain-size", "off", SettingValues.OrOff<long>(ByteSize.TryParse), $"off, or {ByteSize.Allowed}",
        "Delete the oldest dumps while all of them together take more, such as 500G.")
    { ValueName = "off|SIZE" };

    public static readonly Setting<MinFree> MinFree = new("min-free", "0", SettingValues.TryMinFree, $"0, a percentage from 1% to 99%, or {ByteSize.Allowed}",
        "Room that must be free on a dump's file system before the dump begins: a size, or per cent such as 5%; 0 for none.")
    { ValueName = "SIZE|N%" };

    public static readonly Setting<WhenFull> WhenFull = new("when-full", "headers", SettingValues.TryChoice, Choices<WhenFull>(),
        "Below --min-free: 'refuse' acks nothing until there is room, 'headers' keeps the first bytes only, 'delete' deletes the oldest dumps that retention may.")
    { ValueName = Names<WhenFull>() };

    public static readonly Setting<StoreLocation?> Store = new("store", "off", SettingValues.TryStore, "off, or s3://BUCKET or s3://BUCKET/PREFIX with letters, digits and -_.=+@/",
        "Object store (S3) that ended dumps are uploaded to; until one is there, retention does not delete it.")
    { ValueName = "s3://BUCKET/PREFIX|off" };

    public static readonly Setting<Uri?> StoreEndpoint = new("store-endpoint", "auto", SettingValues.TryStoreEndpoint, "auto, or an http or https URL without path",
        "Address of a store that is not Amazon's; 'auto' is Amazon's of the region.")
    { ValueName = "URL|auto" };

    public static readonly Setting<string?> StoreRegion = new("store-region", "auto", SettingValues.TryStoreRegion, "auto, or a region such as eu-central-1",
        "Region of the store; 'auto' is what AWS_REGION or the machine says.")
    { ValueName = "REGION|auto" };

    public static readonly Setting<bool> StorePathStyle = new("store-path-style", "false", SettingValues.TryFlag, "true or false",
        "Name the bucket in the path of requests, not in the host name, as most stores that are not Amazon's want.")
    { Kind = SettingKind.Flag };

    public static readonly Setting<StoreCompression> StoreCompress = new("store-compress", "none", SettingValues.TryChoice, Choices<StoreCompression>(),
        "Compress dumps on their way to the store that their kernel has not compressed or encrypted.")
    { ValueName = Names<StoreCompression>() };

    public static readonly Setting<string?> StoreKey = new("store-key", "", SettingValues.TryOptionalPath, FilePath,
        "File with a key of 32 bytes: dumps are encrypted on their way to the store, and 'dumps fetch --key' with that file opens them.")
    { ValueName = "FILE" };

    public static readonly Setting<string?> StorePublicKey = new("store-public-key", "", SettingValues.TryOptionalPath, FilePath,
        "PEM file with an RSA public key: dumps are encrypted on their way to the store, and its private key opens them.")
    { ValueName = "FILE" };

    public static readonly Setting<long?> StoreRate = new("store-rate", "off", SettingValues.OrOff<long>(SettingValues.TryRate), $"off, or at least 64K: {ByteSize.Allowed}",
        "Most bytes a second that are sent to the store, such as 50M; or off.")
    { ValueName = "off|SIZE" };

    public static readonly Setting<int> StoreConcurrency = new("store-concurrency", "2", SettingValues.Whole(1, 64), "a number from 1 to 64",
        "Dumps that are uploaded at the same time; each takes about 30 MB of memory, more for dumps beyond 70 GB.")
    { Kind = SettingKind.Number, ValueName = "N" };
    public static readonly Setting<ClusterAddress?> Cluster = new("cluster", "", SettingValues.TryCluster, ClusterAddress.Allowed,
        "PostgreSQL database that all nodes of a fleet share, such as \"Host=db.example.net;Database=netdump;Username=netdump\"; dumps never wait for it.")
    { ValueName = "CONNECTION", Shown = value => $"{value}", Reason = ClusterAddress.ProblemOf };

    public static readonly Setting<string?> ClusterFile = new("cluster-file", "", SettingValues.TryOptionalPath, FilePath,
        "File that holds what --cluster would, read anew for each connection; for a connection string with a password in it.")
    { ValueName = "FILE" };

    public static readonly Setting<Uri?> NodeUrl = new("node-url", "auto", SettingValues.TryNodeUrl, "auto, or an http or https URL without user, query and fragment",
        "Where other nodes' users reach this node's HTTP; 'auto' is --http's address, or --node where that is all addresses.")
    { ValueName = "URL|auto" };

    public static readonly Setting<string?> NodeToken = new("node-token-file", "", SettingValues.TryOptionalPath, FilePath,
        "File with the token that this node shows to others when it fetches their parts of a dump; they have it in their --token-file.")
    { ValueName = "FILE" };

    public static readonly Setting<int?> MaxClusterSessions = new("max-cluster-sessions", "off", SettingValues.OrOff(SettingValues.Whole(1, 1_000_000)), "off, or a number from 1 to 1000000",
        "Dumps that may run at the same time on all nodes together, as far as is known; not applied while the catalogue is down.")
    { ValueName = "off|N" };

    public static readonly Setting<int> Loops = new("loops", "auto", SettingValues.WholeOrAuto(1, 64), "auto, or a number from 1 to 64",
        "Event loops, each a thread with a share of the clients; 'auto' is one per processor, at most 8.")
    { ValueName = "auto|N" };

    public static readonly Setting<TransportChoice> Transport = new("transport", "auto", SettingValues.TryChoice, Choices<TransportChoice>(),
        "Linux's batched system calls, portable sockets, or the better one that works here.")
    { ValueName = Names<TransportChoice>() };

    public static readonly Setting<ProgressDisplay> Progress = new("progress", "auto", SettingValues.TryChoice, Choices<ProgressDisplay>(),
        "Live progress; 'auto' shows it on a terminal.")
    { ValueName = Names<ProgressDisplay>() };

    public static readonly Setting<string?> Config = new("config", "", SettingValues.TryOptionalPath, FilePath,
        "JSON file with settings; keys are the long option names, comments and trailing commas are fine.")
    { ValueName = "FILE", AllowedInFile = false };

    /// <summary>They mean nothing without a store.</summary>
    public static IReadOnlyList<Setting> OfStore { get; } = [StoreEndpoint, StoreRegion, StorePathStyle, StoreCompress, StoreKey, StorePublicKey, StoreRate, StoreConcurrency];

    /// <summary>They mean nothing without a catalogue.</summary>
    public static IReadOnlyList<Setting> OfFleet { get; } = [NodeUrl, NodeToken, MaxClusterSessions];

    public static IReadOnlyList<Setting> All { get; } =
    [
        Address, Directory, Script, PidFile, DefaultPath, Debug,
        Port, ClientPort, Endpoint, Takeover, Node, EndpointPorts, Keep, Sparse, Hash, Hosts, Timeout, Drain, ScriptTimeout, ScriptConcurrency, MaxSessions, Loops,
        Allow, Deny, SourceRate, NetworkRate,
        RetainAge, RetainCount, RetainSize, MinFree, WhenFull,
        Store, .. OfStore,
        Cluster, ClusterFile, .. OfFleet,
        Transport, Http, TokenFile, AuditLog, HttpCertificate, HttpKey, Webhook, WebhookSecret, LogFormat, Progress, Config,
    ];

    private static string Names<T>() where T : struct, Enum => string.Join('|', Enum.GetNames<T>()).ToLowerInvariant();

    private static string Choices<T>() where T : struct, Enum => Names<T>().Replace("|", ", ", StringComparison.Ordinal);
}
