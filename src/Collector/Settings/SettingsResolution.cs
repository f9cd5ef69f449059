using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Watch;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Settings;

/// <summary>The value a setting ended up with, also as it was written, and in words where it was given.</summary>
internal sealed record ResolvedSetting(Setting Setting, object? Value, string Text, string Source);

/// <summary>Picks each setting from command line, environment, configuration file and default, in this order.</summary>
internal sealed class SettingsResolution
{
    public const string DefaultSource = "default";

    /// <summary>Variables with our prefix that are no settings: what scripts are given, who asks a running server, and what steers the tests.</summary>
    private static readonly string[] s_foreignVariables = ["NETDUMP_STATUS", "NETDUMP_MANIFEST", RunningServer.TokenVariable];
    private static readonly string[] s_testPrefixes = ["NETDUMP_SIM_", "NETDUMP_FUZZ_"];

    private readonly Dictionary<Setting, ResolvedSetting> _resolved;

    private SettingsResolution(Dictionary<Setting, ResolvedSetting> resolved) => _resolved = resolved;

    /// <summary>In the order of <see cref="SettingsTable.All"/>.</summary>
    public IEnumerable<ResolvedSetting> All => SettingsTable.All.Select(setting => _resolved[setting]);

    public T Value<T>(Setting<T> setting) => (T)_resolved[setting].Value!;

    /// <summary>Resolves every setting.</summary>
    /// <param name="commandLine">The options that were given, as text.</param>
    /// <param name="environment">All environment variables.</param>
    /// <exception cref="UsageException">A setting is unknown or its value is not allowed, also where a stronger source overrides it; all problems are listed.</exception>
    public static SettingsResolution Resolve(IReadOnlyDictionary<Setting, string> commandLine, IReadOnlyDictionary<string, string> environment)
    {
        var problems = new List<string>();
        var options = new Dictionary<Setting, Given>();
        foreach (var (setting, text) in commandLine)
            options.Add(setting, new(text, $"option {setting.LongOption}"));
        var variables = FromEnvironment(environment, problems);
        var chosen = new Dictionary<Setting, ResolvedSetting>();
        Choose(SettingsTable.Config, [options, variables], chosen, problems);

        var file = chosen[SettingsTable.Config].Value is string path ? SettingsFile.Read(path, problems) : [];
        foreach (var setting in SettingsTable.All.Where(setting => setting != SettingsTable.Config))
            Choose(setting, [options, variables, file], chosen, problems);

        return problems.Count == 0 ? new(chosen) : throw new UsageException(problems);
    }

    /// <summary>Settings that are allowed each by itself may contradict each other.</summary>
    /// <exception cref="UsageException">They do.</exception>
    public SettingsResolution CheckTogether()
    {
        var problems = new List<string>();
        if (Value(SettingsTable.Takeover) && Value(SettingsTable.Endpoint) != EndpointMode.Shared)
            problems.Add("takeover: packets of a session reach another node only on the herald port; give --endpoint shared as well");
        if (Value(SettingsTable.Takeover) && Value(SettingsTable.Port) == 0)
            problems.Add("takeover: packets of a session reach another node only on the same port; give --port a number other than 0");
        if (Value(SettingsTable.Cluster) is not null && Value(SettingsTable.ClusterFile) is not null)
            problems.Add("cluster and cluster-file are both given, and each says where the catalogue is; leave one of them out");
        return problems.Count == 0 ? this : throw new UsageException(problems);
    }

    /// <summary>Settings that were given and mean nothing, each with what is missing.</summary>
    public IEnumerable<(ResolvedSetting Setting, string Missing)> Idle()
    {
        bool hasFleet = Value(SettingsTable.Cluster) is not null || Value(SettingsTable.ClusterFile) is not null;
        return [.. OfThem(hasFleet, SettingsTable.OfFleet, "--cluster or --cluster-file"), .. OfThem(Value(SettingsTable.Store) is not null, SettingsTable.OfStore, "--store")];

        IEnumerable<(ResolvedSetting, string)> OfThem(bool isUsed, IEnumerable<Setting> settings, string missing) => isUsed ? []
            : settings.Select(setting => _resolved[setting]).Where(given => !Equals(given.Value, given.Setting.DefaultValue)).Select(given => (given, missing));
    }

    public CollectorSettings ToSettings() => new()
    {
        Address = Value(SettingsTable.Address),
        Directory = Value(SettingsTable.Directory),
        Script = Value(SettingsTable.Script),
        PidFile = Value(SettingsTable.PidFile),
        DefaultPath = Value(SettingsTable.DefaultPath),
        Debug = Value(SettingsTable.Debug),
        Port = Value(SettingsTable.Port),
        ClientPort = Value(SettingsTable.ClientPort),
        Endpoint = Value(SettingsTable.Endpoint),
        Takeover = Value(SettingsTable.Takeover),
        Node = Value(SettingsTable.Node) ?? HostFileName.From(System.Environment.MachineName),
        EndpointPorts = Value(SettingsTable.EndpointPorts),
        Keep = Value(SettingsTable.Keep),
        Sparse = Value(SettingsTable.Sparse),
        Hash = Value(SettingsTable.Hash),
        HostsFile = Value(SettingsTable.Hosts),
        TimeoutSeconds = Value(SettingsTable.Timeout),
        DrainSeconds = Value(SettingsTable.Drain),
        ScriptTimeoutSeconds = Value(SettingsTable.ScriptTimeout),
        ScriptConcurrency = Value(SettingsTable.ScriptConcurrency),
        MaxSessions = Value(SettingsTable.MaxSessions),
        Allowed = Value(SettingsTable.Allow),
        Denied = Value(SettingsTable.Deny),
        SourceRate = Value(SettingsTable.SourceRate),
        NetworkRate = Value(SettingsTable.NetworkRate),
        Retention = ToRetention(),
        MinFree = Value(SettingsTable.MinFree),
        WhenFull = Value(SettingsTable.WhenFull),
        Store = ToStore(),
        Cluster = Value(SettingsTable.Cluster),
        ClusterFile = Value(SettingsTable.ClusterFile),
        NodeUrl = Value(SettingsTable.NodeUrl),
        MaxClusterSessions = Value(SettingsTable.MaxClusterSessions),
        NodeTokenFile = Value(SettingsTable.NodeToken),
        Loops = Value(SettingsTable.Loops),
        Transport = Value(SettingsTable.Transport),
        Http = Value(SettingsTable.Http),
        TokenFile = Value(SettingsTable.TokenFile),
        AuditLog = Value(SettingsTable.AuditLog),
        HttpCertificate = Value(SettingsTable.HttpCertificate),
        HttpKey = Value(SettingsTable.HttpKey),
        Webhook = Value(SettingsTable.Webhook),
        WebhookSecretFile = Value(SettingsTable.WebhookSecret),
        LogFormat = Value(SettingsTable.LogFormat),
        Progress = Value(SettingsTable.Progress),
        ConfigFile = Value(SettingsTable.Config),
    };

    /// <summary>Null where dumps are brought to no store.</summary>
    /// <param name="instead">Another place than the settings name.</param>
    public StoreOptions? ToStore(StoreLocation? instead = null) => (instead ?? Value(SettingsTable.Store)) is not { } location ? null : new()
    {
        Location = location,
        Endpoint = Value(SettingsTable.StoreEndpoint),
        Region = Value(SettingsTable.StoreRegion),
        PathStyle = Value(SettingsTable.StorePathStyle),
        Compression = Value(SettingsTable.StoreCompress),
        KeyFile = Value(SettingsTable.StoreKey),
        PublicKeyFile = Value(SettingsTable.StorePublicKey),
        BytesPerSecond = Value(SettingsTable.StoreRate),
        Concurrency = Value(SettingsTable.StoreConcurrency),
    };

    public RetentionPolicy ToRetention() => new()
    {
        MaxAge = Value(SettingsTable.RetainAge),
        MaxPerHost = Value(SettingsTable.RetainCount),
        MaxTotalBytes = Value(SettingsTable.RetainSize),
    };

    private static Dictionary<Setting, Given> FromEnvironment(IReadOnlyDictionary<string, string> environment, List<string> problems)
    {
        var settings = SettingsTable.All.ToDictionary(setting => setting.EnvironmentVariable);
        var given = new Dictionary<Setting, Given>();
        foreach (string name in environment.Keys.Where(name => name.StartsWith(Setting.EnvironmentPrefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            string text = environment[name];
            if (settings.TryGetValue(name, out var setting))
                given[setting] = new(text, $"environment variable {name}");
            else if (!s_testPrefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) && !s_foreignVariables.Contains(name))
                problems.Add($"unknown setting {name}=\"{text}\" in the environment; allowed: {string.Join(", ", settings.Keys.Order(StringComparer.Ordinal))}");
        }

        return given;
    }

    private static void Choose(Setting setting, ReadOnlySpan<Dictionary<Setting, Given>> sources, Dictionary<Setting, ResolvedSetting> chosen, List<string> problems)
    {
        foreach (var source in sources)
        {
            if (!source.TryGetValue(setting, out var given))
                continue;
            if (!setting.TryParse(given.Text, out object? value))
                problems.Add($"{setting.Name}: invalid value {(setting.Shown is null ? $"\"{given.Text}\"" : "(not shown)")} from {given.Source}{(setting.Reason?.Invoke(given.Text) is string reason ? $": {reason}" : "")}; allowed: {setting.Allowed}");
            else
                chosen.TryAdd(setting, new(setting, value, setting.Shown?.Invoke(value) ?? given.Text, given.Source));
        }

        chosen.TryAdd(setting, new(setting, setting.DefaultValue, setting.DefaultText, DefaultSource));
    }

    /// <summary>A value as text and where it was given.</summary>
    internal sealed record Given(string Text, string Source);
}
