using System.Reflection;
using System.Runtime.Versioning;
using System.Text.Json;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.EndToEnd.Tests.ObjectStore;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What is in deploy for Prometheus and Grafana fits the running program, its own tests and the runbook.</summary>
[UnsupportedOSPlatform("windows")]
public sealed partial class MonitoringTests : IDisposable
{
    private static readonly string s_root = typeof(MonitoringTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;
    private static readonly string s_recording = Path.Combine(s_root, "deploy/prometheus/recording.yml");
    private static readonly string s_alerts = Path.Combine(s_root, "deploy/prometheus/alerts.yml");
    private static readonly string[] s_ruleTests = Directory.GetFiles(Path.Combine(s_root, "deploy/prometheus/tests"), "*.yml");
    private static readonly string[] s_dashboards = Directory.GetFiles(Path.Combine(s_root, "deploy/grafana"), "*.json");

    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new() { Timeout = CommandResult.Deadline };

    public static TheoryData<string> Dashboards => [.. s_dashboards.Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    public void Dispose()
    {
        _http.Dispose();
        _temp.Dispose();
    }

    [PrometheusFact]
    public async Task Promtool_has_nothing_to_say_against_the_rules() => (await CommandResult.RunAsync("promtool", ["check", "rules", s_recording, s_alerts])).Expect(0);

    [PrometheusFact]
    public async Task Alerts_fire_when_they_should_and_only_then() => (await CommandResult.RunAsync("promtool", ["test", "rules", .. s_ruleTests])).Expect(0);

    [Fact]
    public void Every_alert_is_tested_firing_and_quiet()
    {
        var cases = s_ruleTests.SelectMany(path => TestCase().Matches(File.ReadAllText(path))).ToLookup(match => match.Groups[1].Value, match => match.Groups[2].Value == "[]");

        Assert.Equal(Alerts(), cases.Select(alert => alert.Key).Order(StringComparer.Ordinal));
        Assert.All(cases, alert => Assert.Equal([false, true], alert.Distinct().Order()));
    }

    [Fact]
    public void Every_alert_leads_to_its_section_of_the_runbook()
    {
        string[] rules = File.ReadAllText(s_alerts).Split("      - alert: ")[1..];
        var sections = File.ReadAllText(Path.Combine(s_root, "docs/runbook.md")).Split("\n## ")[1..]
            .Select(section => section.Split('\n', 2)).Where(section => section[0].StartsWith("Netdump", StringComparison.Ordinal)).ToDictionary(section => section[0], section => section[1]);

        Assert.Equal(Alerts(), sections.Keys.Order(StringComparer.Ordinal));
        Assert.All(sections.Values, text => Assert.All((string[])["\n**Means.** ", "\n**Impact.** ", "\n**Look at.**", "\n**Do.** "], part => Assert.Contains(part, text, StringComparison.Ordinal)));
        Assert.All(rules, rule =>
        {
            string name = rule.Split('\n')[0];
            Assert.Matches(@"\n          severity: (critical|warning|info)\n", rule);
            Assert.Matches(@"\n          summary: "".+""\n          description: "".+""\n", rule);
            // Anchors are headings in lower case.
            Assert.Contains($"\n          runbook_url: docs/runbook.md#{name.ToLowerInvariant()}\n", rule, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void The_runbook_names_no_alert_that_is_not_there()
    {
        var named = AlertName().Matches(File.ReadAllText(Path.Combine(s_root, "docs/runbook.md"))).Select(match => match.Value).Distinct();

        Assert.Empty(named.Except(Alerts()));
    }

    [Theory]
    [MemberData(nameof(Dashboards))]
    public void A_dashboard_says_what_it_shows_and_of_which_collector(string file)
    {
        var dashboard = ReadDashboard(Path.Combine(s_root, "deploy/grafana", file));

        var variables = dashboard.GetProperty("templating").GetProperty("list").EnumerateArray().ToDictionary(variable => variable.GetProperty("name").GetString()!);
        Assert.Equal("prometheus", variables["datasource"].GetProperty("query").GetString());
        Assert.Equal("label_values(netdump_build_info, instance)", variables["instance"].GetProperty("query").GetProperty("query").GetString());
        Assert.InRange(dashboard.GetProperty("schemaVersion").GetInt32(), 38, int.MaxValue);
        Assert.All(PanelsOf(dashboard), panel =>
        {
            Assert.Equal("${datasource}", panel.GetProperty("datasource").GetProperty("uid").GetString());
            Assert.All((string[])["title", "description"], property => Assert.NotEqual("", panel.GetProperty(property).GetString()));
            var defaults = panel.GetProperty("fieldConfig").GetProperty("defaults");
            Assert.NotEqual("", defaults.GetProperty("unit").GetString());
            Assert.NotEqual(0, defaults.GetProperty("thresholds").GetProperty("steps").GetArrayLength());
            Assert.All(ExpressionsOf(panel), expression => Assert.Contains("\"$instance\"", expression, StringComparison.Ordinal));
        });
    }

    [Theory]
    [MemberData(nameof(Dashboards))]
    public void Panels_of_a_dashboard_lie_side_by_side(string file)
    {
        var panels = ReadDashboard(Path.Combine(s_root, "deploy/grafana", file)).GetProperty("panels").EnumerateArray().ToArray();

        var cells = panels.SelectMany(panel => CellsOf(panel.GetProperty("gridPos"))).ToArray();

        Assert.Equal(panels.Length, panels.Select(panel => panel.GetProperty("id").GetInt32()).Distinct().Count());
        Assert.Equal(cells.Length, cells.Distinct().Count());
        Assert.All(cells, cell => Assert.InRange(cell.X, 0, 23));
    }

    [PrometheusFact]
    public async Task Every_panel_shows_what_the_running_collector_measures()
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"));
        var http = await collector.HttpAsync();
        await using var prometheus = await PrometheusServer.StartAsync(_temp.File("prometheus"), http.Authority, s_recording, s_alerts);
        await prometheus.HoldsAsync("up == 1");
        await SendAsync(collector, "16M", clients: 3);
        // A histogram is there from its first value on, and what grows from then on is a rate.
        await prometheus.HoldsAsync("""
            netdump_burst_ack_duration_seconds_count > 0 and on () netdump_write_duration_seconds_count > 0 and on () netdump_sync_duration_seconds_count > 0
            and on () netdump_dump_size_bytes_count > 0 and on () netdump_dump_duration_seconds_count > 0
            """);
        await SendAsync(collector, "16M", clients: 3);
        await prometheus.HoldsAsync("netdump_dumps_total{outcome=\"complete\"} == 6");

        var expressions = s_dashboards.SelectMany(path => PanelsOf(ReadDashboard(path))).SelectMany(ExpressionsOf)
            .Select(expression => expression.Replace("$__rate_interval", "5m", StringComparison.Ordinal).Replace("$__range", "5m", StringComparison.Ordinal)
                .Replace("$instance", http.Authority, StringComparison.Ordinal)).Distinct().ToArray();
        Assert.InRange(expressions.Length, 50, int.MaxValue);
        foreach (string expression in expressions)
        {
            Assert.DoesNotContain('$', expression);
            await Eventually.Holds(() => prometheus.Query(expression).Any(sample => !double.IsNaN(sample.Value)), $"a number for {expression}");
        }

        await collector.StopAsync();
    }

    [PrometheusFact]
    public async Task Every_rule_works_and_no_metric_is_unknown()
    {
        // A store and a catalogue that are not there have metrics all the same.
        await using var collector = await Collector.StartInAsync(RadosGateway.Variables, _temp.File("dumps"), "--store", "s3://nowhere", "--store-endpoint", "http://127.0.0.1:1", "--store-path-style",
            "--cluster", "Host=127.0.0.1;Port=9;Database=none");
        var http = await collector.HttpAsync();
        await collector.PrintsAsync("Object store: ");
        await SendAsync(collector, "1M", clients: 1);
        await using var prometheus = await PrometheusServer.StartAsync(_temp.File("prometheus"), http.Authority, s_recording, s_alerts);

        var rules = await Eventually.Gets(() => prometheus.Rules() is var all && all.All(rule => rule.GetProperty("health").GetString() != "unknown") ? all : null, "all rules were evaluated");

        Assert.Equal(Alerts(), rules.Where(rule => rule.GetProperty("type").GetString() == "alerting").Select(rule => rule.GetProperty("name").GetString()!).Order(StringComparer.Ordinal));
        Assert.All(rules, rule => Assert.Equal("ok", rule.GetProperty("health").GetString()));
        string[] records = [.. rules.Where(rule => rule.GetProperty("type").GetString() == "recording").Select(rule => rule.GetProperty("name").GetString()!)];
        string metrics = await _http.GetStringAsync(new Uri(http, "/metrics"));
        var known = metrics.Split('\n').Where(line => line.Length > 0 && line[0] != '#').Select(line => line[..line.IndexOfAny(['{', ' '])]).Concat(records).Append("up").ToHashSet();
        var used = rules.Select(rule => rule.GetProperty("query").GetString()!).Concat(s_dashboards.SelectMany(path => PanelsOf(ReadDashboard(path))).SelectMany(ExpressionsOf))
            .SelectMany(MetricsIn).ToHashSet();
        Assert.Superset(records.ToHashSet(), used);
        Assert.Empty(used.Except(known));
        await collector.StopAsync();
    }

    [PrometheusFact]
    public async Task A_storm_of_panics_is_told_of()
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"));
        await using var prometheus = await PrometheusServer.StartAsync(_temp.File("prometheus"), (await collector.HttpAsync()).Authority, s_recording, s_alerts);
        await prometheus.HoldsAsync("netdump_heralds_total{result=\"opened\"} == 0");

        await SendAsync(collector, "1M", clients: 12);

        await Eventually.Holds(() => prometheus.Firing().Contains("NetdumpPanicStorm"), "the alert fires");
        Assert.DoesNotContain("NetdumpCollectorDown", prometheus.Firing());
        await collector.StopAsync();
    }

    [Theory]
    [InlineData("sum by (job, instance) (rate(a_total{b=\"c{d}\"}[5m])) > 1.5e3 and on (e) f_g:h:i3 unless bool j offset 5m", "a_total", "f_g:h:i3", "j")]
    [InlineData("histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m])))", "a_bucket")]
    [InlineData("time() - a", "a")]
    public void Metrics_are_found_in_expressions(string expression, params string[] names) => Assert.Equal(names, MetricsIn(expression));

    private static IEnumerable<string> Alerts() => Alert().Matches(File.ReadAllText(s_alerts)).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal);

    private static JsonElement ReadDashboard(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        return document.RootElement.Clone();
    }

    private static IEnumerable<JsonElement> PanelsOf(JsonElement dashboard) => dashboard.GetProperty("panels").EnumerateArray().Where(panel => panel.GetProperty("type").GetString() != "row");

    private static IEnumerable<string> ExpressionsOf(JsonElement panel) => panel.GetProperty("targets").EnumerateArray().Select(target => target.GetProperty("expr").GetString()!);

    private static IEnumerable<(int X, int Y)> CellsOf(JsonElement grid)
    {
        var (x, y) = (grid.GetProperty("x").GetInt32(), grid.GetProperty("y").GetInt32());
        return Enumerable.Range(y, grid.GetProperty("h").GetInt32()).SelectMany(row => Enumerable.Range(x, grid.GetProperty("w").GetInt32()).Select(column => (column, row)));
    }

    /// <summary>What is left of an expression without strings, labels, ranges and functions is names of metrics, numbers and operators.</summary>
    private static IEnumerable<string> MetricsIn(string expression) =>
        Name().Matches(NotAMetric().Replace(expression, " ")).Select(match => match.Value).Except(["and", "or", "unless", "bool", "offset"]);

    private static async Task SendAsync(Collector collector, string size, int clients) => (await Collector.RunAsync(
        "send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), "--synthetic", size, "--clients", $"{clients}")).Expect(0);

    [GeneratedRegex(@"^ +- alert: (\w+)$", RegexOptions.Multiline)]
    private static partial Regex Alert();

    [GeneratedRegex(@"\bNetdump[A-Z]\w+")]
    private static partial Regex AlertName();

    [GeneratedRegex(@"alertname: (\w+)\n +exp_alerts:(?: (\[\])|\n +- exp_labels:)")]
    private static partial Regex TestCase();

    [GeneratedRegex(@"""(?:\\.|[^""\\])*""|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right) *\([^)]*\)|\{[^}""]*(?:""(?:\\.|[^""\\])*""[^}""]*)*\}")]
    private static partial Regex NotAMetric();

    [GeneratedRegex(@"(?<![\w.:])[A-Za-z_:][\w:]*\b(?! *\()")]
    private static partial Regex Name();
}
