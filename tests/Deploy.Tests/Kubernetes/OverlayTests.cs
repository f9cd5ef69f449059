using System.Text.RegularExpressions;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Tests;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>What an operator applies is what Kubernetes takes, fits together, and tells the program only what it knows.</summary>
public sealed partial class OverlayTests
{
    public static TheoryData<string> Overlays => [.. Overlay.Names];

    [Fact]
    public void Every_overlay_is_looked_at() =>
        Assert.Equal(Overlay.Names.Order(), Directory.GetDirectories(RepositoryRoot.File("deploy/k8s/overlays")).Select(path => Path.GetFileName(path)).Order());

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void Every_object_has_the_fields_that_Kubernetes_knows_and_needs(string overlay)
    {
        var objects = Overlay.Build(overlay);

        Assert.NotEmpty(objects);
        Assert.Empty(objects.SelectMany(StrictDecoding.Problems));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void The_objects_fit_together(string overlay) => Assert.Empty(ReferenceRules.Problems(Overlay.Build(overlay), DocumentedSecrets()));

    [KubectlFact]
    public void A_fleets_parts_fit_a_single_collector_as_well()
    {
        var objects = Overlay.BuildWith("single", ["catalogue", "object-store"]);

        Assert.Empty(objects.SelectMany(StrictDecoding.Problems));
        Assert.Empty(ReferenceRules.Problems(objects, DocumentedSecrets()));
        Assert.Empty(PodRules.Problems(objects.Single(item => item.IsWorkload), drainSeconds: 0));
    }

    [KubectlTheory]
    [InlineData("single", false, false)]
    [InlineData("fleet-hostnetwork", true, false)]
    [InlineData("fleet-loadbalancer", true, true)]
    public void A_fleet_has_its_parts(string overlay, bool isFleet, bool takesOver)
    {
        var objects = Overlay.Build(overlay);
        string[] variables = [.. Assert.Single(objects.Single(item => item.IsWorkload).PodSpec.Items("containers")).Items("env").Select(variable => variable.Text("name")!)];

        Assert.Equal((isFleet, isFleet, takesOver), (variables.Contains("NETDUMP_CLUSTER"), variables.Contains("NETDUMP_STORE"), variables.Contains("NETDUMP_TAKEOVER")));
        Assert.Equal(takesOver, objects.Any(item => item.Kind == "PersistentVolumeClaim"));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Pods_have_the_least_rights_and_are_given_the_time_to_end(string overlay)
    {
        var workload = Overlay.Build(overlay).Single(item => item.IsWorkload);
        int drain = SettingOf(await ShownSettingsAsync(overlay), SettingsTable.Drain) is string text ? int.Parse(text, System.Globalization.CultureInfo.InvariantCulture) : 0;

        Assert.Empty(PodRules.Problems(workload, drain));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task The_program_knows_every_option_variable_and_setting_that_it_is_given(string overlay)
    {
        string shown = await ShownSettingsAsync(overlay);

        Assert.Equal("/var/lib/netdump/dumps", SettingOf(shown, SettingsTable.Directory));
        Assert.Equal(overlay == "fleet-hostnetwork" ? "ephemeral" : "shared", SettingOf(shown, SettingsTable.Endpoint));
        // Kubelets' probes come to the pod's address.
        Assert.Equal("0.0.0.0:9464", SettingOf(shown, SettingsTable.Http));
        Assert.Equal("/etc/netdump/tokens/tokens", SettingOf(shown, SettingsTable.TokenFile));
    }

    [Theory]
    [InlineData("NETDUMP_PORT", "tcp://10.96.0.20:20023")]
    [InlineData("NETDUMP_SERVICE_HOST", "10.96.0.20")]
    [InlineData("NETDUMP_COLLECTOR_PORT_20023_UDP", "udp://10.96.0.20:20023")]
    public async Task Variables_that_Kubernetes_makes_of_a_Service_would_stop_it(string name, string value)
    {
        var run = await CommandRun.OfAsync(new Dictionary<string, string> { [name] = value }, "config");

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(name, run.Error, StringComparison.Ordinal);
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Where_files_are_looked_for_a_volume_is_mounted(string overlay)
    {
        var container = Assert.Single(Overlay.Build(overlay).Single(item => item.IsWorkload).PodSpec.Items("containers"));
        string shown = await ShownSettingsAsync(overlay);
        string[] mounts = [.. container.Items("volumeMounts").Select(mount => mount.Text("mountPath")!)];

        foreach (string? path in (string?[])[ConfigPath(container), SettingOf(shown, SettingsTable.Directory), SettingOf(shown, SettingsTable.TokenFile)])
            Assert.Contains(mounts, mount => path!.StartsWith(mount + "/", StringComparison.Ordinal));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void The_image_is_this_version_of_the_program(string overlay)
    {
        var container = Assert.Single(Overlay.Build(overlay).Single(item => item.IsWorkload).PodSpec.Items("containers"));
        string version = VersionElement().Match(RepositoryRoot.Read("Directory.Build.props")).Groups[1].Value;

        Assert.EndsWith($"/netdump-collector:{version}", container.Text("image"), StringComparison.Ordinal);
    }

    [KubectlTheory]
    [InlineData("single")]
    [InlineData("fleet-loadbalancer")]
    public void Hosts_reach_it_under_their_own_address_and_answers_come_from_the_one_port(string overlay)
    {
        var service = Overlay.Build(overlay).Single(item => item.Kind == "Service" && item.Root.Text("spec", "type") == "LoadBalancer");

        Assert.Equal("Local", service.Root.Text("spec", "externalTrafficPolicy"));
        var port = Assert.Single(service.Root.Items("spec", "ports"));
        Assert.Equal(("UDP", SettingsTable.Port.DefaultText), (port.Text("protocol"), port.Text("port")));
    }

    [KubectlFact]
    public void In_a_fleet_a_host_stays_with_its_collector_as_long_as_that_one_waits()
    {
        var service = Overlay.Build("fleet-loadbalancer").Single(item => item.Kind == "Service" && item.Root.Text("spec", "type") == "LoadBalancer");

        Assert.Equal("ClientIP", service.Root.Text("spec", "sessionAffinity"));
        Assert.Equal(SettingsTable.Timeout.DefaultText, service.Root.Text("spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"));
    }

    [KubectlTheory]
    [InlineData("single")]
    [InlineData("fleet-loadbalancer")]
    public void Dumps_may_come_from_anywhere_and_HTTP_from_monitoring_only(string overlay)
    {
        var policy = Overlay.Build(overlay).Single(item => item.Kind == "NetworkPolicy" && item.Name == "collector");
        var ingress = policy.Root.Items("spec", "ingress").ToArray();

        var open = Assert.Single(ingress, rule => rule.At("from") is null);
        Assert.Equal([("20023", null), ("20100", "28999")], open.Items("ports").Select(port => (port.Text("port")!, port.Text("endPort"))));
        Assert.All(open.Items("ports"), port => Assert.Equal("UDP", port.Text("protocol")));
        var monitoring = Assert.Single(ingress, rule => rule.At("from") is not null);
        Assert.Equal("9464", Assert.Single(monitoring.Items("ports")).Text("port"));
        Assert.Equal("20100-28999", SettingsTable.EndpointPorts.DefaultText);
    }

    [KubectlFact]
    public void On_the_nodes_network_the_nodes_are_chosen_and_the_dumps_stay_on_them()
    {
        var daemons = Overlay.Build("fleet-hostnetwork").Single(item => item.Kind == "DaemonSet");

        Assert.Equal("true", daemons.PodSpec.Text("hostNetwork"));
        Assert.Equal("true", daemons.PodSpec.Map("nodeSelector").GetValueOrDefault("netdump-collector/node"));
        Assert.Contains(daemons.PodSpec.Items("volumes"), volume => volume.At("hostPath") is not null && volume.Text("name") == "dumps");
        // The old pod has the ports until it is gone.
        Assert.Equal("0", daemons.Root.Text("spec", "updateStrategy", "rollingUpdate", "maxSurge"));
    }

    /// <summary>What 'config' shows for the pod's command line, its environment and its settings file.</summary>
    private static async Task<string> ShownSettingsAsync(string overlay)
    {
        var objects = Overlay.Build(overlay);
        var container = Assert.Single(objects.Single(item => item.IsWorkload).PodSpec.Items("containers"));
        using var temp = new TempDirectory();
        string settings = temp.Write("collector.json", SettingsFileOf(objects));
        string[] arguments = [.. container.Items("args").Select(argument => argument.ToString().Replace(ConfigPath(container), settings, StringComparison.Ordinal))];
        Assert.Equal("serve", arguments[0]);
        var variables = container.Items("env").Where(variable => variable.Text("name")!.StartsWith("NETDUMP_", StringComparison.Ordinal))
            .ToDictionary(variable => variable.Text("name")!, variable => variable.Text("value") ?? ValueFor(variable));

        var run = await CommandRun.OfAsync(variables, ["config", .. arguments[1..]]);

        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Equal("", run.Error);
        return run.Output;
    }

    private static string SettingsFileOf(IReadOnlyList<Manifest> objects) =>
        objects.Single(item => item.Kind == "ConfigMap" && item.Name.StartsWith("collector-settings-", StringComparison.Ordinal)).Root.Text("data", "collector.json")!;

    private static string ConfigPath(YamlNode container) => container.Items("args").Select(argument => argument.ToString()).SkipWhile(argument => argument != "--config").ElementAt(1);

    /// <summary>As a Secret or Kubernetes itself would have it.</summary>
    private static string ValueFor(YamlNode variable) => variable.Text("name") switch
    {
        "NETDUMP_CLUSTER" => "Host=database;Database=netdump",
        "NETDUMP_STORE" => "s3://dumps/netdump",
        var name => throw new InvalidOperationException($"what is {name} in a cluster?"),
    };

    /// <summary>The value of a setting in what 'config' prints.</summary>
    private static string? SettingOf(string shown, Setting setting) =>
        shown.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).FirstOrDefault(words => words.Length > 1 && words[0] == setting.Name)?[1];

    private static HashSet<string> DocumentedSecrets() => [.. SecretCommand().Matches(RepositoryRoot.Read("docs/kubernetes.md")).Select(match => match.Groups[1].Value)];

    [GeneratedRegex(@"create secret generic ([a-z-]+) ")]
    private static partial Regex SecretCommand();

    [GeneratedRegex("<Version>([^<]+)</Version>")]
    private static partial Regex VersionElement();
}
