using System.Net;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Collector.Tests.Settings;

public sealed class SettingsResolutionTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Every_setting_takes_the_command_line_then_the_environment_then_the_file_then_the_default()
    {
        var cases =
            from setting in Gen.Elements(SampleValues.Settings.ToArray())
            from option in Maybe(setting.Kind == SettingKind.Flag ? ["true"] : SampleValues.GoodOf(setting))
            from variable in Maybe(SampleValues.GoodOf(setting))
            from entry in Maybe(SampleValues.GoodOf(setting))
            select (setting, option, variable, entry);

        Prop.ForAll(cases.ToArbitrary(), given =>
        {
            var (setting, option, variable, entry) = given;
            string file = _temp.Write("settings.json", entry is null ? "{}" : $"{{ \"{setting.Name}\": {SampleValues.ToJson(setting, entry)} }}");
            var resolved = Resolve(setting, option, variable, file).All.Single(resolved => resolved.Setting == setting);

            Assert.Equal(option ?? variable ?? entry ?? setting.DefaultText, resolved.Text);
            Assert.True(setting.TryParse(resolved.Text, out object? value));
            Assert.Equal(value, resolved.Value);
            Assert.Equal(
                option is not null ? $"option --{setting.Name}"
                : variable is not null ? $"environment variable {setting.EnvironmentVariable}"
                : entry is not null ? $"file {file}"
                : "default",
                resolved.Source);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Fact]
    public void A_wrong_value_is_refused_from_every_source_even_where_a_stronger_one_overrides_it()
    {
        foreach (var setting in SampleValues.Settings)
        {
            foreach (string bad in SampleValues.BadOf(setting))
            {
                if (setting.Kind != SettingKind.Flag)
                    AssertRefused(setting, bad, "option --" + setting.Name, () => Resolve(setting, bad, null, null));
                AssertRefused(setting, bad, setting.EnvironmentVariable, () => Resolve(setting, SampleValues.GoodOf(setting)[0], bad, null));
            }
        }
    }

    [Fact]
    public void Defaults_are_netdumpds_ports_and_a_directory_of_our_own()
    {
        var settings = CollectorSettings.Defaults;

        Assert.Equal(Ipv4.Any, settings.Address);
        Assert.Equal("./dumps", settings.Directory);
        Assert.Equal(20023, settings.Port);
        Assert.Equal(20024, settings.ClientPort);
        Assert.Equal(EndpointMode.Ephemeral, settings.Endpoint);
        Assert.Equal(new(20100, 28999), settings.EndpointPorts);
        Assert.Equal(600, settings.TimeoutSeconds);
        Assert.Null(settings.Script);
        Assert.Null(settings.PidFile);
        Assert.Null(settings.DefaultPath);
        Assert.Null(settings.ConfigFile);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 9464), settings.Http.EndPoint);
        Assert.Null(settings.Webhook);
    }

    [Fact]
    public void Every_setting_reaches_the_host()
    {
        var environment = new Dictionary<string, string>
        {
            ["NETDUMP_ADDRESS"] = "192.0.2.1",
            ["NETDUMP_DIRECTORY"] = "/d",
            ["NETDUMP_SCRIPT"] = "/s",
            ["NETDUMP_PIDFILE"] = "/p",
            ["NETDUMP_PATH"] = "sub",
            ["NETDUMP_DEBUG"] = "true",
            ["NETDUMP_PORT"] = "1",
            ["NETDUMP_CLIENT_PORT"] = "2",
            ["NETDUMP_ENDPOINT"] = "shared",
            ["NETDUMP_ENDPOINT_PORTS"] = "3-4",
            ["NETDUMP_HASH"] = "off",
            ["NETDUMP_HOSTS"] = "/h",
            ["NETDUMP_TIMEOUT"] = "5",
            ["NETDUMP_DRAIN"] = "10",
            ["NETDUMP_SCRIPT_TIMEOUT"] = "6",
            ["NETDUMP_SCRIPT_CONCURRENCY"] = "7",
            ["NETDUMP_MAX_SESSIONS"] = "8",
            ["NETDUMP_ALLOW"] = "192.0.2.0/24,198.51.100.1",
            ["NETDUMP_DENY"] = "192.0.2.128/25",
            ["NETDUMP_SOURCE_RATE"] = "10",
            ["NETDUMP_NETWORK_RATE"] = "11",
            ["NETDUMP_RETAIN_AGE"] = "2d",
            ["NETDUMP_RETAIN_COUNT"] = "3",
            ["NETDUMP_RETAIN_SIZE"] = "4K",
            ["NETDUMP_MIN_FREE"] = "5%",
            ["NETDUMP_WHEN_FULL"] = "delete",
            ["NETDUMP_TAKEOVER"] = "true",
            ["NETDUMP_NODE"] = "n1",
            ["NETDUMP_STORE"] = "s3://crashes/lab",
            ["NETDUMP_STORE_ENDPOINT"] = "http://192.0.2.3:9000",
            ["NETDUMP_STORE_REGION"] = "eu-central-1",
            ["NETDUMP_STORE_PATH_STYLE"] = "true",
            ["NETDUMP_STORE_COMPRESS"] = "zstd",
            ["NETDUMP_STORE_KEY"] = "/sk",
            ["NETDUMP_STORE_PUBLIC_KEY"] = "/sp",
            ["NETDUMP_STORE_RATE"] = "1M",
            ["NETDUMP_STORE_CONCURRENCY"] = "13",
            ["NETDUMP_LOOPS"] = "9",
            ["NETDUMP_KEEP"] = "auto:11",
            ["NETDUMP_SPARSE"] = "true",
            ["NETDUMP_TRANSPORT"] = "portable",
            ["NETDUMP_HTTP"] = "192.0.2.1:12",
            ["NETDUMP_TOKEN_FILE"] = "/t",
            ["NETDUMP_AUDIT_LOG"] = "/al",
            ["NETDUMP_HTTP_CERTIFICATE"] = "/c",
            ["NETDUMP_HTTP_KEY"] = "/k",
            ["NETDUMP_WEBHOOK"] = "https://192.0.2.2/hook",
            ["NETDUMP_WEBHOOK_SECRET"] = "/w",
            ["NETDUMP_LOG_FORMAT"] = "json",
            ["NETDUMP_PROGRESS"] = "off",
            ["NETDUMP_CLUSTER"] = "Host=db;Database=n;Password=word",
            ["NETDUMP_CLUSTER_FILE"] = "/cf",
            ["NETDUMP_NODE_TOKEN_FILE"] = "/nt",
            ["NETDUMP_NODE_URL"] = "https://n.example.net:9464",
            ["NETDUMP_MAX_CLUSTER_SESSIONS"] = "13",
            ["NETDUMP_CONFIG"] = _temp.Write("empty.json", "{}"),
        };

        Assert.Equal(SettingsTable.All.Select(setting => setting.EnvironmentVariable).Order(), environment.Keys.Order());
        Assert.Equal(
            new CollectorSettings
            {
                Address = new(0xc0000201),
                Directory = "/d",
                Script = "/s",
                PidFile = "/p",
                DefaultPath = "sub",
                Debug = true,
                Port = 1,
                ClientPort = 2,
                Endpoint = EndpointMode.Shared,
                EndpointPorts = new(3, 4),
                Keep = KeepPolicy.Auto(11),
                Sparse = true,
                Hash = HashPolicy.Off,
                HostsFile = "/h",
                TimeoutSeconds = 5,
                DrainSeconds = 10,
                ScriptTimeoutSeconds = 6,
                ScriptConcurrency = 7,
                MaxSessions = 8,
                Allowed = new([new(new(0xc0000200), 24), new(new(0xc6336401), 32)]),
                Denied = new([new(new(0xc0000280), 25)]),
                SourceRate = 10,
                NetworkRate = 11,
                Retention = new() { MaxAge = TimeSpan.FromDays(2), MaxPerHost = 3, MaxTotalBytes = 4096 },
                MinFree = new(0, 5),
                WhenFull = WhenFull.Delete,
                Takeover = true,
                Node = "n1",
                Store = new()
                {
                    Location = new("crashes", "lab/"),
                    Endpoint = new("http://192.0.2.3:9000"),
                    Region = "eu-central-1",
                    PathStyle = true,
                    Compression = StoreCompression.Zstd,
                    KeyFile = "/sk",
                    PublicKeyFile = "/sp",
                    BytesPerSecond = 1 << 20,
                    Concurrency = 13,
                },
                Loops = 9,
                Transport = TransportChoice.Portable,
                Http = new(new IPEndPoint(0x010200c0, 12)),
                TokenFile = "/t",
                AuditLog = "/al",
                HttpCertificate = "/c",
                HttpKey = "/k",
                Webhook = new("https://192.0.2.2/hook"),
                WebhookSecretFile = "/w",
                LogFormat = LogFormat.Json,
                Progress = ProgressDisplay.Off,
                Cluster = ClusterAddress.TryParse("Host=db;Database=n;Password=word", out var cluster) ? cluster : null,
                ClusterFile = "/cf",
                NodeUrl = new("https://n.example.net:9464"),
                MaxClusterSessions = 13,
                NodeTokenFile = "/nt",
                ConfigFile = environment["NETDUMP_CONFIG"],
            },
            SettingsResolution.Resolve(new Dictionary<Setting, string>(), environment).ToSettings());
    }

    [Fact]
    public void An_option_names_the_file_rather_than_the_environment()
    {
        string named = _temp.Write("a.json", """{ "port": 1 }""");
        string other = _temp.Write("b.json", """{ "port": 2 }""");
        var resolution = SettingsResolution.Resolve(
            new Dictionary<Setting, string> { [SettingsTable.Config] = named },
            new Dictionary<string, string> { ["NETDUMP_CONFIG"] = other });

        Assert.Equal(1, resolution.ToSettings().Port);
    }

    [Fact]
    public void An_unknown_variable_with_our_prefix_is_refused_by_name()
    {
        var exception = Assert.Throws<UsageException>(() => Resolve(environment: new() { ["NETDUMP_PROT"] = "5" }));

        Assert.Contains("NETDUMP_PROT=\"5\"", exception.Message, StringComparison.Ordinal);
        Assert.Contains("NETDUMP_PORT", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Variables_of_scripts_and_simulation_and_of_others_are_no_settings() =>
        Resolve(environment: new() { ["NETDUMP_STATUS"] = "complete", ["NETDUMP_MANIFEST"] = "/m", ["NETDUMP_SIM_SEED"] = "1", ["HOME"] = "/root" });

    [Fact]
    public void What_is_wrong_with_a_value_that_is_not_shown_is_told_without_it()
    {
        string problem = Assert.Single(Assert.Throws<UsageException>(() => Resolve(environment: new() { ["NETDUMP_CLUSTER"] = "Host=db;Password=word" })).Problems);

        Assert.StartsWith("cluster: invalid value (not shown) from environment variable NETDUMP_CLUSTER: it names no Database; allowed: ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain("word", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void The_catalogue_is_named_once()
    {
        var both = Resolve(environment: new() { ["NETDUMP_CLUSTER"] = "Host=db;Database=n", ["NETDUMP_CLUSTER_FILE"] = "/c" });

        Assert.StartsWith("cluster and cluster-file are both given", Assert.Single(Assert.Throws<UsageException>(both.CheckTogether).Problems), StringComparison.Ordinal);
        Resolve(environment: new() { ["NETDUMP_CLUSTER_FILE"] = "/c" }).CheckTogether();
    }

    [Fact]
    public void What_means_nothing_without_another_setting_is_known()
    {
        // A default that is written out asks for nothing.
        Dictionary<string, string> given = new()
        {
            ["NETDUMP_MAX_CLUSTER_SESSIONS"] = "5",
            ["NETDUMP_NODE_TOKEN_FILE"] = "/t",
            ["NETDUMP_NODE_URL"] = "http://192.0.2.1:9464",
            ["NETDUMP_STORE_KEY"] = "/k",
            ["NETDUMP_STORE_COMPRESS"] = "none",
            ["NETDUMP_STORE_RATE"] = "1M",
        };

        Assert.Equal(
            ["node-url: --cluster or --cluster-file", "node-token-file: --cluster or --cluster-file", "max-cluster-sessions: --cluster or --cluster-file", "store-key: --store", "store-rate: --store"],
            Resolve(given).Idle().Select(idle => $"{idle.Setting.Setting.Name}: {idle.Missing}"));
        Assert.Empty(Resolve(new(given) { ["NETDUMP_CLUSTER_FILE"] = "/c", ["NETDUMP_STORE"] = "s3://crashes" }).Idle());
        Assert.Empty(Resolve(environment: []).Idle());
    }

    [Fact]
    public void All_problems_are_told_at_once()
    {
        var exception = Assert.Throws<UsageException>(() => Resolve(environment: new() { ["NETDUMP_PORT"] = "x", ["NETDUMP_TIMEOUT"] = "y", ["NETDUMP_NOPE"] = "z" }));

        Assert.Equal(3, exception.Problems.Count);
    }

    private static Gen<string?> Maybe(string[] values) => Gen.Elements<string?>([null, .. values]);

    private static SettingsResolution Resolve(Dictionary<string, string> environment) => SettingsResolution.Resolve(new Dictionary<Setting, string>(), environment);

    private static SettingsResolution Resolve(Setting setting, string? option, string? variable, string? file)
    {
        var options = new Dictionary<Setting, string>();
        var environment = new Dictionary<string, string>();
        if (option is not null)
            options[setting] = option;
        if (variable is not null)
            environment[setting.EnvironmentVariable] = variable;
        if (file is not null)
            environment["NETDUMP_CONFIG"] = file;
        return SettingsResolution.Resolve(options, environment);
    }

    private static void AssertRefused(Setting setting, string value, string source, Action resolve)
    {
        string problem = Assert.Single(Assert.Throws<UsageException>(resolve).Problems);
        Assert.StartsWith(setting.Name + ":", problem, StringComparison.Ordinal);
        if (setting.Shown is null)
            Assert.Contains($"\"{value}\"", problem, StringComparison.Ordinal);
        else
            Assert.DoesNotContain($"\"{value}\"", problem, StringComparison.Ordinal);
        Assert.Contains(source, problem, StringComparison.Ordinal);
        Assert.EndsWith($"allowed: {setting.Allowed}", problem, StringComparison.Ordinal);
    }
}
