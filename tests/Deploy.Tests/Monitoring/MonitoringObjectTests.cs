using NetdumpCollector.Deploy.Tests.Kubernetes;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Monitoring;

/// <summary>Kubernetes is given the rules and dashboards that deploy/prometheus and deploy/grafana have, and no others.</summary>
public sealed class MonitoringObjectTests
{
    public static TheoryData<string> Overlays => [.. Overlay.Names];

    [Fact]
    public async Task The_PrometheusRule_is_what_its_script_makes_of_the_rules()
    {
        var run = await ToolRun.OfAsync(RepositoryRoot.File("eng/prometheus-rule.sh"), "--stdout");

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.True(run.Output == RepositoryRoot.Read("deploy/prometheus/prometheusrule.yaml"), "deploy/prometheus/prometheusrule.yaml is older than the rules; run eng/prometheus-rule.sh");
    }

    [Fact]
    public void The_PrometheusRule_has_the_groups_of_the_rules_as_they_are()
    {
        var groups = Assert.Single(Manifest.Parse(RepositoryRoot.Read("deploy/prometheus/prometheusrule.yaml"))).Root.Items("spec", "groups");

        Assert.Equal(
            [.. GroupsOf("deploy/prometheus/recording.yml"), .. GroupsOf("deploy/prometheus/alerts.yml")],
            groups.Select(Written));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void Every_overlay_has_the_rules(string overlay)
    {
        var rule = Assert.Single(Overlay.Build(overlay), item => item.Kind == "PrometheusRule");

        Assert.Equal(
            [.. GroupsOf("deploy/prometheus/recording.yml"), .. GroupsOf("deploy/prometheus/alerts.yml")],
            rule.Root.Items("spec", "groups").Select(Written));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void Every_overlay_has_the_dashboards_where_Grafana_looks_for_them(string overlay)
    {
        var dashboards = Overlay.Build(overlay).Where(item => item.Kind == "ConfigMap" && item.Root.Map("metadata", "labels").GetValueOrDefault("grafana_dashboard") == "1")
            .SelectMany(item => item.Root.Map("data")).ToArray();

        Assert.Equal(
            Directory.GetFiles(RepositoryRoot.File("deploy/grafana"), "*.json").Select(File.ReadAllText).Order(StringComparer.Ordinal),
            dashboards.Select(pair => pair.Value).Order(StringComparer.Ordinal));
        // The sidecar writes all of them into one directory.
        Assert.Equal(dashboards.Length, dashboards.Select(pair => pair.Key).Distinct().Count());
        Assert.All(dashboards, pair => Assert.EndsWith(".json", pair.Key, StringComparison.Ordinal));
    }

    private static IEnumerable<string> GroupsOf(string path)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(RepositoryRoot.Read(path)));
        return stream.Documents[0].RootNode.Items("groups").Select(Written);
    }

    /// <summary>The same text for the same content, however it was written down.</summary>
    private static string Written(YamlNode node) => node switch
    {
        YamlScalarNode scalar => $"'{scalar.Value}'",
        YamlSequenceNode list => $"[{string.Join(", ", list.Select(Written))}]",
        YamlMappingNode map => $"{{{string.Join(", ", map.Children.Select(pair => $"{Written(pair.Key)}: {Written(pair.Value)}").Order(StringComparer.Ordinal))}}}",
        _ => throw new InvalidDataException($"{node} is no YAML of ours"),
    };
}
