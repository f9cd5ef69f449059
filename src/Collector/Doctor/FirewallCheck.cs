using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>The way from the clients to this machine, of which a machine that sends to itself sees nothing.</summary>
internal static partial class FirewallCheck
{
    private const string Subject = "way in";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(3);

    public static IEnumerable<Finding> Look(CollectorSettings settings) => [Judge(settings, Ruleset())];

    /// <param name="settings">What the server would run with.</param>
    /// <param name="ruleset">nftables' rules, those of iptables-nft too; null where they cannot be read.</param>
    public static Finding Judge(CollectorSettings settings, string? ruleset)
    {
        string ports = string.Create(CultureInfo.InvariantCulture, $"UDP {settings.Port}{(settings.Endpoint == EndpointMode.Shared ? "" : $" and {settings.EndpointPorts}")} from the clients' port {settings.ClientPort}");
        string drill = string.Create(CultureInfo.InvariantCulture, $"on another machine: netdump-collector send --synthetic 1M --server {(settings.Address.Value == 0 ? "ADDR" : settings.Address)}{(settings.Port == 20023 ? "" : $" --port {settings.Port}")}");
        return ruleset is not null && DropsInput().IsMatch(ruleset) && !ruleset.Contains(string.Create(CultureInfo.InvariantCulture, $"{settings.Port}"), StringComparison.Ordinal)
            ? new(FindingLevel.Warning, Subject, $"nftables drops what no rule accepts on its way in, and no rule names port {settings.Port}", $"accept {ports}; then test {drill}")
            : new(FindingLevel.LeftOut, Subject, $"what this machine sends to itself passes no firewall and no router; they must let {ports} in", drill);
    }

    /// <summary>Only root may read it.</summary>
    private static string? Ruleset()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/sbin/nft"))
            return null;
        using var process = Process.Start(new ProcessStartInfo("/usr/sbin/nft", ["list", "ruleset"]) { RedirectStandardOutput = true, RedirectStandardError = true });
        if (process is null)
            return null;
        var output = process.StandardOutput.ReadToEndAsync();
        _ = process.StandardError.ReadToEndAsync();
        if (process.WaitForExit(s_patience))
            return process.ExitCode == 0 ? output.GetAwaiter().GetResult() : null;
        process.Kill();
        return null;
    }

    [GeneratedRegex(@"\bhook input\b[^}]*?\bpolicy drop\b")]
    private static partial Regex DropsInput();
}
