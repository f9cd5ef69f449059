using System.Globalization;
using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>What every pod of ours keeps to: the least rights, resources that a scheduler can count on, and an end that matches the program's.</summary>
internal static partial class PodRules
{
    /// <summary>The program's own end besides <c>--drain</c>: commits and scripts, the last export, closing (Server.Stop).</summary>
    private const int StopSeconds = 15;

    /// <param name="workload">What makes the pods.</param>
    /// <param name="drainSeconds">What the settings say.</param>
    /// <returns>What is wrong, one line each.</returns>
    public static IReadOnlyList<string> Problems(Manifest workload, int drainSeconds)
    {
        var pod = workload.PodSpec;
        var problems = new List<string>();
        Expect(pod.Text("enableServiceLinks") == "false", "enableServiceLinks is not false: variables of a Service could be taken for settings");
        Expect(pod.Text("automountServiceAccountToken") == "false", "automountServiceAccountToken is not false");
        foreach (string way in (string[])["hostPID", "hostIPC", "shareProcessNamespace"])
            Expect(pod.Text(way) is null or "false", $"{way} is not for a collector");
        Expect(pod.Text("hostNetwork") != "true" || pod.Text("dnsPolicy") == "ClusterFirstWithHostNet", "dnsPolicy is not ClusterFirstWithHostNet, so on the node's network no name of the cluster is found");
        int grace = Number(pod.Text("terminationGracePeriodSeconds"), otherwise: 30);
        Expect(grace >= drainSeconds + StopSeconds, $"terminationGracePeriodSeconds is {grace}, and the program takes up to {drainSeconds + StopSeconds} s to end");
        foreach (var container in pod.Items("containers").Concat(pod.Items("initContainers")))
            problems.AddRange(ProblemsOf(container, pod).Select(problem => $"{workload} container {container.Text("name")}: {problem}"));
        return problems;

        void Expect(bool holds, string problem)
        {
            if (!holds)
                problems.Add($"{workload}: {problem}");
        }
    }

    private static IEnumerable<string> ProblemsOf(YamlNode container, YamlMappingNode pod)
    {
        var security = container.At("securityContext");
        string? Either(string field) => security.Text(field) ?? pod.Text("securityContext", field);
        if (Either("runAsNonRoot") != "true")
            yield return "runAsNonRoot is not true";
        if (Number(Either("runAsUser"), otherwise: 0) == 0 || Number(Either("runAsGroup"), otherwise: 0) == 0)
            yield return "runAsUser and runAsGroup are not those of an ordinary user";
        if ((security.Text("seccompProfile", "type") ?? pod.Text("securityContext", "seccompProfile", "type")) != "RuntimeDefault")
            yield return "seccompProfile is not RuntimeDefault";
        if (security.Text("allowPrivilegeEscalation") != "false")
            yield return "allowPrivilegeEscalation is not false";
        if (security.Text("privileged") is not (null or "false"))
            yield return "privileged";
        if (security.Text("readOnlyRootFilesystem") != "true")
            yield return "readOnlyRootFilesystem is not true";
        if (!security.Items("capabilities", "drop").Any(item => item.ToString() == "ALL") || security.Items("capabilities", "add").Any())
            yield return "not all capabilities are dropped";
        if (!VersionedImage().IsMatch(container.Text("image") ?? ""))
            yield return $"image {container.Text("image")} has no version";
        if (container.Text("imagePullPolicy") != "IfNotPresent")
            yield return "imagePullPolicy is not IfNotPresent: a restart would wait for the registry";
        foreach (string problem in ResourceProblems(container.At("resources")).Concat(ProbeProblems(container)))
            yield return problem;
    }

    private static IEnumerable<string> ResourceProblems(YamlNode? resources)
    {
        if (resources.Text("requests", "cpu") is null || resources.Text("requests", "memory") is null || resources.Text("limits", "memory") is null)
            yield return "requests of cpu and memory, or the limit of memory, are missing";
        else if (Bytes(resources.Text("limits", "memory")!) < Bytes(resources.Text("requests", "memory")!))
            yield return "the limit of memory is less than what is requested";
        if (resources.Text("limits", "cpu") is not null)
            yield return "a limit of cpu stops all event loops for up to 100 ms when it is used up";
    }

    private static IEnumerable<string> ProbeProblems(YamlNode container)
    {
        foreach (var (probe, path) in ((string, string)[])[("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")])
        {
            var request = container.At(probe, "httpGet");
            if (request.Text("path") != path)
                yield return $"{probe} does not ask for {path}";
            if (container.Items("ports").All(port => port.Text("name") != request.Text("port") || port.Text("protocol") != "TCP"))
                yield return $"{probe}: the container has no TCP port {request.Text("port")}";
        }
    }

    private static int Number(string? text, int otherwise) => text is null ? otherwise : int.Parse(text, CultureInfo.InvariantCulture);

    private static double Bytes(string quantity)
    {
        var match = QuantityText().Match(quantity);
        double unit = match.Groups[2].Value switch
        {
            "" => 1,
            "Ki" => 1L << 10,
            "Mi" => 1L << 20,
            "Gi" => 1L << 30,
            "Ti" => 1L << 40,
            var other => throw new InvalidDataException($"{quantity}: nobody uses the unit {other} here"),
        };
        return double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * unit;
    }

    [GeneratedRegex(@"^([0-9.]+)([A-Za-z]*)$")]
    private static partial Regex QuantityText();

    // NAME:1.2.3 or NAME@sha256:…; 'latest', and no tag, are whatever was pushed last.
    [GeneratedRegex(@"(:[0-9]+\.[0-9]+[0-9A-Za-z.+-]*|@sha256:[0-9a-f]{64})$")]
    private static partial Regex VersionedImage();
}
