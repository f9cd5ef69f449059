using System.Globalization;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Watch;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>What a collector that runs says of itself over HTTP.</summary>
/// <param name="Unready">What it says against taking dumps, or why it could not be asked; null when it is ready.</param>
/// <param name="Metrics">Its metrics as text; null where it does not answer.</param>
internal sealed record RunningServerFacts(string? Unready, string? Metrics);

/// <inheritdoc cref="RunningServerFacts"/>
internal static class RunningServerCheck
{
    private const string Subject = "running collector";

    /// <summary>What should be 0, and what to do where it is not.</summary>
    private static readonly (string Metric, string Found, string Advice)[] s_losses =
    [
        ("netdump_herald_dropped_packets_total", "packets were dropped at the herald sockets, because their buffer was full or their checksum wrong", "raise net.core.rmem_max and restart; docs/runbook.md"),
        ("netdump_session_dropped_packets_total", "packets were dropped at sessions' sockets; each cost its kernel a second", "raise net.core.rmem_max and restart; docs/runbook.md"),
        ("netdump_host_udp_rcvbuf_errors_total", "datagrams came to a full buffer on this machine (UdpRcvbufErrors)", "raise net.core.rmem_max and restart"),
        ("netdump_host_udp_in_csum_errors_total", "datagrams came with a wrong checksum (UdpInCsumErrors): a bad network card, or kernels that sent from a buffer that they reused", "leave checksums on; look at the network card (ethtool -S)"),
        ("netdump_events_missed_total", "events were missed by the webhook or an event stream", "look at the receiver of --webhook"),
        ("netdump_actor_failures_total", "failures inside the collector", "report them, with the log"),
        ("netdump_storage_shortages_total", "dumps did not begin as they should for lack of room (--min-free)", "make room: netdump-collector dumps prune"),
    ];

    public static RunningServerFacts Read(CollectorSettings settings, CommandIo io)
    {
        using var server = RunningServer.At(settings.Http, settings.TokenFile, settings.HttpCertificate, io.Environment);
        using var complaint = new StringWriter();
        var listener = io with { Error = complaint };
        string? metrics = server.Read("/metrics", listener);
        bool isReady = metrics is not null && server.Read("/readyz", listener) is not null;
        return new(isReady ? null : complaint.ToString().Trim().Replace($"{CommandIo.ProgramName}: ", "", StringComparison.Ordinal), metrics is not null && IsCollector(metrics) ? metrics : null);
    }

    public static IEnumerable<Finding> Judge(RunningServerFacts facts)
    {
        if (facts.Metrics is not string metrics)
        {
            yield return new(FindingLevel.Warning, Subject, $"it could not be asked: {facts.Unready ?? "what answers is no collector"}", "give doctor the same --http (or --config) as the service");
            yield break;
        }

        yield return facts.Unready is string obstacle
            ? new(FindingLevel.Problem, Subject, $"it would not take dumps: {obstacle}", "remove the obstacle; /readyz says when it is gone")
            : new(FindingLevel.Ok, Subject, Text($"it is ready; {Sum(metrics, "netdump_dumps_receiving") ?? 0} dumps arriving, {Sum(metrics, "netdump_dumps_total{outcome=\"complete\"}") ?? 0} complete since its start"));

        foreach (var (metric, found, advice) in s_losses)
        {
            if (Sum(metrics, metric) is double count and > 0)
                yield return new(FindingLevel.Warning, Subject, Text($"{count} {found}"), advice);
        }
    }

    public static bool IsCollector(string metrics) => Sum(metrics, "netdump_build_info") is not null;

    /// <summary>The sum of all samples whose name begins so, and goes on with labels at most; null where there is none.</summary>
    internal static double? Sum(string metrics, string name)
    {
        double? sum = null;
        foreach (string line in metrics.Split('\n'))
        {
            int space = line.LastIndexOf(' ');
            if (space <= 0 || !line.StartsWith(name, StringComparison.Ordinal) || line[name.Length] is not (' ' or '{'))
                continue;
            if (double.TryParse(line.AsSpan(space + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
                sum = (sum ?? 0) + value;
        }

        return sum;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
