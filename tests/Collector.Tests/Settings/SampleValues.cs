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
        ["endpoint-ports"] = (["1-65535", "30000-30000", "20100-20200"], ["", "20100", "20200-20100", "0-10", "1-65536", "a-b", "1-2-3"]),
        ["hash"] = (["deferred", "off"], ["", "on", "1"]),
        ["hosts"] = (["/etc/hosts.netdump", "h", ""], ["a\0b"]),
        ["timeout"] = (["1", "600", "86400"], ["", "0", "86401", "-5", "ten"]),
        ["drain"] = (["0", "30", "86400"], ["", "-1", "86401"]),
        ["script-timeout"] = (["1", "300", "86400"], ["", "0", "86401"]),
        ["script-concurrency"] = (["1", "4", "1024"], ["", "0", "1025"]),
        ["loops"] = (["auto", "1", "64"], ["", "0", "65", "Auto", "many"]),
        ["max-sessions"] = (["1", "4096", "1000000"], ["", "0", "1000001"]),
        ["transport"] = (["auto", "linux", "portable"], ["", "io_uring"]),
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
