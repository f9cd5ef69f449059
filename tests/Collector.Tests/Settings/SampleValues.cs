using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Tests.Settings;

/// <summary>Values of every setting that are allowed and that are not, as text.</summary>
internal static class SampleValues
{
    private static readonly Dictionary<string, (string[] Good, string[] Bad)> s_samples = new()
    {
        ["address"] = (["192.0.2.1", "192.0.2.2", "127.0.0.1"], ["", "example.org", "192.0.2", "::1", "192.0.2.256", "192.0.2.1 "]),
        ["directory"] = (["/var/crash", "dumps2", "/srv/a b"], ["", "a\0b"]),
        ["script"] = (["./script", "/bin/true", ""], ["a\0b"]),
        ["pidfile"] = (["/run/a.pid", "b.pid", ""], ["a\0b"]),
        ["path"] = (["lab", "a/b", ""], ["/abs", "../up", "a/../b", "a\0b"]),
        ["debug"] = (["true", "false"], ["", "yes", "1"]),
        ["port"] = (["1", "20023", "65535", "0"], ["", "-1", "65536", "x", "1.5", "1e3", " 1"]),
        ["client-port"] = (["1", "20024", "65535"], ["", "0", "65536", "x"]),
        ["endpoint"] = (["ephemeral", "shared"], ["", "Shared", "both", "0"]),
        ["takeover"] = (["true", "false"], ["", "yes", "1"]),
        ["node"] = (["auto", "a", "rack-7.example_1"], ["", ".a", "a/b", "a b", "ä"]),
        ["endpoint-ports"] = (["1-65535", "30000-30000", "20100-20200"], ["", "20100", "20200-20100", "0-10", "1-65536", "a-b", "1-2-3"]),
        ["hash"] = (["deferred", "off"], ["", "on", "1"]),
        ["keep"] = (["full", "head:1M", "head:8192", "auto", "auto:1", "auto:1000"],
            ["", "Full", "head", "head:", "head:0", "head:8191", "head:-1", "head:1X", "auto:", "auto:0", "auto:1001", "auto:x", "auto:3:4", "none"]),
        ["sparse"] = (["true", "false"], ["", "yes", "1"]),
        ["hosts"] = (["/etc/hosts.netdump", "h", ""], ["a\0b"]),
        ["timeout"] = (["1", "600", "86400"], ["", "0", "86401", "-5", "ten"]),
        ["drain"] = (["0", "30", "86400"], ["", "-1", "86401"]),
        ["script-timeout"] = (["1", "300", "86400"], ["", "0", "86401"]),
        ["script-concurrency"] = (["1", "4", "1024"], ["", "0", "1025"]),
        ["loops"] = (["auto", "1", "64"], ["", "0", "65", "Auto", "many"]),
        ["allow"] = (["192.0.2.0/24", "192.0.2.1", "10.0.0.0/8,192.0.2.0/25", "0.0.0.0/0", ""], ["192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "/8", "::1/64", "10.0.0.0/8,", "hosts"]),
        ["deny"] = (["198.51.100.0/24", "198.51.100.7", "10.0.0.0/8, 192.0.2.0/25", ""], ["198.51.100.1/24", "198.51.100.0/-1", "198.51.100.0/24;10.0.0.0/8", ","]),
        ["source-rate"] = (["auto", "1", "1000000"], ["", "0", "1000001", "Auto"]),
        ["network-rate"] = (["1", "6000", "1000000"], ["", "0", "1000001"]),
        ["max-sessions"] = (["1", "4096", "1000000"], ["", "0", "1000001"]),
        ["retain-age"] = (["off", "1s", "90m", "12h", "30d", "8w"], ["", "0d", "30", "d", "-1d", "1.5d", "30 d", "1y", "36526d", "99999999999999999999d"]),
        ["retain-count"] = (["off", "1", "1000000"], ["", "0", "-1", "1000001", "all"]),
        ["retain-size"] = (["off", "1", "64M", "500G"], ["", "0", "-1", "5%", "1.5G", "G"]),
        ["min-free"] = (["0", "1", "64M", "1%", "99%"], ["", "0%", "100%", "-1", "%", "1.5%", "0M", "off"]),
        ["when-full"] = (["refuse", "headers", "delete"], ["", "Refuse", "wait", "1"]),
        ["store"] = (["off", "s3://crashes", "s3://crashes/lab/a"], ["", "on", "s3://", "s3://ab", "crashes/lab", "http://crashes/lab", "s3://Crashes", "s3://crashes/a b"]),
        ["store-endpoint"] = (["auto", "http://192.0.2.1:9000", "https://s3.example.org"], ["", "off", "s3.example.org", "ftp://example.org", "http://example.org/path", "http://user:word@example.org"]),
        ["store-region"] = (["auto", "eu-central-1", "default"], ["", "eu central", "a/b"]),
        ["store-path-style"] = (["true", "false"], ["", "yes", "1"]),
        ["store-compress"] = (["none", "gzip", "zstd"], ["", "off", "lz4", "Zstd"]),
        ["store-key"] = (["/etc/netdump.key", "k", ""], ["a\0b"]),
        ["store-public-key"] = (["/etc/netdump.pem", "p", ""], ["a\0b"]),
        ["store-rate"] = (["off", "64K", "50M"], ["", "0", "1K", "65535", "-1", "5%"]),
        ["store-concurrency"] = (["1", "2", "64"], ["", "0", "65", "auto"]),
        ["cluster"] = (["Host=a;Database=b", "Host=a,b;Port=5433;Database=c;Username=d", ""], ["Host=a", "postgres://a/b", "Database=b", "Host=a;Database"]),
        ["cluster-file"] = (["/run/secrets/cluster", "c", ""], ["a\0b"]),
        ["node-url"] = (["auto", "http://192.0.2.1:9464", "https://node1.example.net/netdump/"], ["", "node1", "ftp://node1/", "http://a:b@node1/", "http://node1/?a=b", "http://node1/#a"]),
        ["node-token-file"] = (["/run/secrets/node", "n", ""], ["a\0b"]),
        ["max-cluster-sessions"] = (["off", "1", "1000000"], ["", "0", "1000001", "auto"]),
        ["transport"] = (["auto", "linux", "portable"], ["", "io_uring"]),
        ["http"] = (["off", "127.0.0.1:9464", "0.0.0.0:0", "[::1]:9464"], ["", "9464", "127.0.0.1", ":9464", "1:9464", "localhost:9464", "::1:9464", "[127.0.0.1]:80", "127.0.0.1:65536", "127.0.0.1:-1", "on"]),
        ["token-file"] = (["/etc/tokens", "t", ""], ["a\0b"]),
        ["audit-log"] = (["/var/log/netdump-audit.jsonl", "a", ""], ["a\0b"]),
        ["http-certificate"] = (["/etc/ssl/netdump.pem", "c", ""], ["a\0b"]),
        ["http-key"] = (["/etc/ssl/netdump.key", "k", ""], ["a\0b"]),
        ["webhook"] = (["off", "http://192.0.2.1:8080/x?y=z", "https://example.org/"], ["", "on", "example.org", "ftp://example.org/", "http://", "http://user:word@example.org/", "http://example.org/#part", "/hook"]),
        ["webhook-secret"] = (["/etc/secret", "s", ""], ["a\0b"]),
        ["log-format"] = (["text", "json"], ["", "xml"]),
        ["progress"] = (["auto", "on", "off"], ["", "true"]),
    };

    /// <summary>Settings that every source can give.</summary>
    public static IReadOnlyList<Setting> Settings { get; } = [.. SettingsTable.All.Where(setting => setting != SettingsTable.Config)];

    public static string[] GoodOf(Setting setting) => s_samples[setting.Name].Good;

    public static string[] BadOf(Setting setting) => s_samples[setting.Name].Bad;

    /// <summary><paramref name="text"/> as a configuration file has to write it.</summary>
    public static string ToJson(Setting setting, string text) =>
        setting.Kind == SettingKind.Text ? System.Text.Json.JsonSerializer.Serialize(text) : text;
}
