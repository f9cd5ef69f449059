using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>What objects say of each other is so: selectors find pods, names lead to something, ports are there.</summary>
internal static class ReferenceRules
{
    private static readonly string[] s_clusterScoped = ["Namespace", "PriorityClass"];

    /// <param name="objects">All objects of an overlay.</param>
    /// <param name="secrets">Secrets that an operator is told to make.</param>
    /// <returns>What is wrong, one line each.</returns>
    public static IReadOnlyList<string> Problems(IReadOnlyList<Manifest> objects, IReadOnlyCollection<string> secrets)
    {
        var problems = new List<string>();
        problems.AddRange(objects.GroupBy(item => item.ToString()).Where(group => group.Count() > 1).Select(group => $"{group.Key} is there twice"));
        string? scope = objects.FirstOrDefault(item => item.Kind == "Namespace")?.Name;
        foreach (var item in objects)
        {
            string? given = item.Root.Text("metadata", "namespace");
            if (s_clusterScoped.Contains(item.Kind) ? given is not null : given is null || given != scope)
                problems.Add($"{item}: namespace {given}, the overlay's is {scope}");
            problems.AddRange(ProblemsOf(item, objects, secrets).Select(problem => $"{item}: {problem}"));
        }

        return problems;
    }

    private static IEnumerable<string> ProblemsOf(Manifest item, IReadOnlyList<Manifest> objects, IReadOnlyCollection<string> secrets) => item.Kind switch
    {
        "StatefulSet" or "DaemonSet" => WorkloadProblems(item, objects, secrets),
        "Service" => ServiceProblems(item, objects),
        "PodDisruptionBudget" => SelectorProblems(item.Root.At("spec", "selector"), objects, item).Concat(BudgetProblems(item, objects)),
        "NetworkPolicy" => SelectorProblems(item.Root.At("spec", "podSelector"), objects, item),
        "ServiceMonitor" => MonitorProblems(item, objects),
        _ => [],
    };

    private static IEnumerable<string> WorkloadProblems(Manifest workload, IReadOnlyList<Manifest> objects, IReadOnlyCollection<string> secrets)
    {
        var pod = workload.PodSpec;
        if (!Selects(workload.Root.Map("spec", "selector", "matchLabels"), Labels(workload)))
            yield return "the selector does not find its own pods";
        if (workload.Kind == "StatefulSet" && !objects.Any(item => item.Kind == "Service" && item.Name == workload.Root.Text("spec", "serviceName") && item.Root.Text("spec", "clusterIP") == "None"))
            yield return $"serviceName {workload.Root.Text("spec", "serviceName")} is no headless Service";
        foreach (var (kind, name) in ((string, string?)[])[("ServiceAccount", pod.Text("serviceAccountName")), ("PriorityClass", pod.Text("priorityClassName"))])
        {
            if (!Has(objects, kind, name))
                yield return $"there is no {kind} {name}";
        }

        foreach (var constraint in pod.Items("topologySpreadConstraints").Where(constraint => !Selects(constraint.Map("labelSelector", "matchLabels"), Labels(workload))))
            yield return $"topologySpreadConstraints: {constraint.Text("topologyKey")} counts other pods";
        foreach (string problem in VolumeProblems(workload, pod).Concat(SourceProblems(pod, objects, secrets)))
            yield return problem;
    }

    private static IEnumerable<string> VolumeProblems(Manifest workload, YamlMappingNode pod)
    {
        string?[] volumes = [.. pod.Items("volumes").Select(volume => volume.Text("name")), .. workload.Root.Items("spec", "volumeClaimTemplates").Select(claim => claim.Text("metadata", "name"))];
        YamlNode[] mounts = [.. pod.Items("containers").Concat(pod.Items("initContainers")).SelectMany(container => container.Items("volumeMounts"))];
        foreach (string? twice in volumes.GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key))
            yield return $"there are two volumes {twice}";
        foreach (var mount in mounts.Where(mount => !volumes.Contains(mount.Text("name"))))
            yield return $"there is no volume {mount.Text("name")} to mount";
        foreach (string? unused in volumes.Where(name => mounts.All(mount => mount.Text("name") != name)))
            yield return $"nobody mounts the volume {unused}";
    }

    private static IEnumerable<string> SourceProblems(YamlMappingNode pod, IReadOnlyList<Manifest> objects, IReadOnlyCollection<string> secrets)
    {
        foreach (var source in pod.Mappings())
        {
            foreach (string? map in ((YamlNode?[])[source.At("configMap"), source.At("configMapRef"), source.At("configMapKeyRef")]).OfType<YamlMappingNode>().Select(reference => reference.Text("name")))
            {
                if (!Has(objects, "ConfigMap", map))
                    yield return $"there is no ConfigMap {map}";
            }

            foreach (var secret in ((YamlNode?[])[source.At("secret"), source.At("secretRef"), source.At("secretKeyRef")]).OfType<YamlMappingNode>())
            {
                string? name = secret.Text("secretName") ?? secret.Text("name");
                if (name is null || !secrets.Contains(name))
                    yield return $"nobody is told to make the Secret {name}";
                if (secret.Text("optional") != "true")
                    yield return $"without the Secret {name} no pod would start, and no dump be received";
            }

            if (source.Text("persistentVolumeClaim", "claimName") is string claim && !Has(objects, "PersistentVolumeClaim", claim))
                yield return $"there is no PersistentVolumeClaim {claim}";
        }
    }

    private static IEnumerable<string> ServiceProblems(Manifest service, IReadOnlyList<Manifest> objects)
    {
        // Pods of the same namespace are told of it by variables that begin with its name, unless they say that they want none.
        if (service.Name.StartsWith("netdump", StringComparison.Ordinal))
            yield return "variables for it would begin with NETDUMP_, as settings do";
        Manifest[] selected = [.. objects.Where(item => item.IsWorkload && Selects(service.Root.Map("spec", "selector"), Labels(item)))];
        if (selected.Length == 0)
            yield return "the selector finds no pods";
        foreach (var port in service.Root.Items("spec", "ports"))
        {
            bool IsThere(YamlNode candidate) => candidate.Text("protocol") == port.Text("protocol")
                && (candidate.Text("name") == port.Text("targetPort") || candidate.Text("containerPort") == (port.Text("targetPort") ?? port.Text("port")));
            if (!selected.All(workload => workload.PodSpec.Items("containers").SelectMany(container => container.Items("ports")).Any(IsThere)))
                yield return $"the pods have no {port.Text("protocol")} port {port.Text("targetPort") ?? port.Text("port")}";
        }

        if (service.Root.Text("spec", "sessionAffinity") != "ClientIP" && service.Root.At("spec", "sessionAffinityConfig") is not null)
            yield return "sessionAffinityConfig without sessionAffinity";
    }

    private static IEnumerable<string> BudgetProblems(Manifest budget, IReadOnlyList<Manifest> objects)
    {
        bool isNumber = int.TryParse(budget.Root.Text("spec", "minAvailable"), out _);
        if (objects.Any(item => item.Kind == "DaemonSet") && !isNumber)
            yield return "nothing says how many pods a DaemonSet ought to have, so that only minAvailable as a number works";
    }

    private static IEnumerable<string> MonitorProblems(Manifest monitor, IReadOnlyList<Manifest> objects)
    {
        Manifest[] services = [.. objects.Where(item => item.Kind == "Service" && Selects(monitor.Root.Map("spec", "selector", "matchLabels"), item.Root.Map("metadata", "labels")))];
        if (services.Length != 1)
            yield return $"the selector finds {services.Length} Services, so that each collector would be read as often";
        foreach (var service in services)
        {
            foreach (var endpoint in monitor.Root.Items("spec", "endpoints").Where(endpoint => service.Root.Items("spec", "ports").All(port => port.Text("name") != endpoint.Text("port"))))
                yield return $"{service} has no port {endpoint.Text("port")}";
            // What alerts and dashboards ask for.
            if (service.Root.Map("metadata", "labels").GetValueOrDefault(monitor.Root.Text("spec", "jobLabel") ?? "") != "netdump-collector")
                yield return "the job would not be netdump-collector";
        }
    }

    private static IEnumerable<string> SelectorProblems(YamlNode? selector, IReadOnlyList<Manifest> objects, Manifest item)
    {
        if (!objects.Any(workload => workload.IsWorkload && workload.Root.Text("metadata", "namespace") == item.Root.Text("metadata", "namespace") && Selects(selector.Map("matchLabels"), Labels(workload))))
            yield return "the selector finds no pods";
    }

    private static bool Has(IReadOnlyList<Manifest> objects, string kind, string? name) => objects.Any(item => item.Kind == kind && item.Name == name);

    private static IReadOnlyDictionary<string, string> Labels(Manifest workload) => workload.Root.Map("spec", "template", "metadata", "labels");

    /// <summary>An empty selector finds everything, which nobody means here.</summary>
    private static bool Selects(IReadOnlyDictionary<string, string> selector, IReadOnlyDictionary<string, string> labels) =>
        selector.Count > 0 && selector.All(pair => labels.GetValueOrDefault(pair.Key) == pair.Value);
}
