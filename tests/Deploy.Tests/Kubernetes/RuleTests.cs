namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>The rules find what they are for: each takes something away from objects that are right.</summary>
public sealed class RuleTests
{
    private const string Right = """
        apiVersion: v1
        kind: Namespace
        metadata: { name: netdump }
        ---
        apiVersion: v1
        kind: ServiceAccount
        metadata: { name: account, namespace: netdump }
        ---
        apiVersion: scheduling.k8s.io/v1
        kind: PriorityClass
        metadata: { name: priority }
        value: 1
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: { name: settings, namespace: netdump }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: http, namespace: netdump, labels: { name: netdump-collector } }
        spec:
          clusterIP: None
          selector: { app: pod }
          ports: [{ name: web, port: 9464, targetPort: web, protocol: TCP }]
        ---
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: { name: budget, namespace: netdump }
        spec: { maxUnavailable: 1, selector: { matchLabels: { app: pod } } }
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: { name: policy, namespace: netdump }
        spec: { podSelector: { matchLabels: { app: pod } } }
        ---
        apiVersion: monitoring.coreos.com/v1
        kind: ServiceMonitor
        metadata: { name: monitor, namespace: netdump }
        spec:
          jobLabel: name
          selector: { matchLabels: { name: netdump-collector } }
          endpoints: [{ port: web }]
        ---
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: { name: set, namespace: netdump }
        spec:
          serviceName: http
          selector: { matchLabels: { app: pod } }
          template:
            metadata: { labels: { app: pod } }
            spec:
              serviceAccountName: account
              automountServiceAccountToken: false
              enableServiceLinks: false
              priorityClassName: priority
              terminationGracePeriodSeconds: 20
              hostNetwork: false
              securityContext: { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: { type: RuntimeDefault } }
              topologySpreadConstraints: [{ maxSkew: 1, topologyKey: zone, labelSelector: { matchLabels: { app: pod } } }]
              containers:
                - name: main
                  image: registry.example:5000/thing:1.2.3
                  imagePullPolicy: IfNotPresent
                  ports: [{ name: web, containerPort: 9464, protocol: TCP }]
                  securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
                  startupProbe: { httpGet: { path: /healthz, port: web } }
                  livenessProbe: { httpGet: { path: /healthz, port: web } }
                  readinessProbe: { httpGet: { path: /readyz, port: web } }
                  resources: { requests: { cpu: "1", memory: 1Gi }, limits: { memory: 4Gi } }
                  env: [{ name: SECRET, valueFrom: { secretKeyRef: { name: told, key: key, optional: true } } }]
                  volumeMounts: [{ name: dumps, mountPath: /dumps }, { name: settings, mountPath: /settings }, { name: shared, mountPath: /shared }]
              volumes:
                - name: settings
                  configMap: { name: settings }
                - name: shared
                  persistentVolumeClaim: { claimName: claim }
          volumeClaimTemplates: [{ metadata: { name: dumps } }]
        ---
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: { name: claim, namespace: netdump }
        """;

    [Fact]
    public void What_is_right_is_let_be()
    {
        Assert.Empty(ReferenceRules.Problems(Manifest.Parse(Right), ["told"]));
        Assert.Empty(PodRules.Problems(Manifest.Parse(Right).Single(item => item.IsWorkload), drainSeconds: 0));
    }

    [Theory]
    [InlineData("enableServiceLinks: false", "enableServiceLinks: true", "variables of a Service could be taken for settings")]
    [InlineData("      enableServiceLinks: false\n", "", "variables of a Service could be taken for settings")]
    [InlineData("automountServiceAccountToken: false", "automountServiceAccountToken: true", "automountServiceAccountToken is not false")]
    [InlineData("hostNetwork: false", "hostPID: true", "hostPID is not for a collector")]
    [InlineData("hostNetwork: false", "hostNetwork: true", "no name of the cluster is found")]
    [InlineData("GracePeriodSeconds: 20", "GracePeriodSeconds: 10", "terminationGracePeriodSeconds is 10, and the program takes up to 15 s to end")]
    [InlineData("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot is not true")]
    [InlineData("runAsUser: 65532", "runAsUser: 0", "not those of an ordinary user")]
    [InlineData(", runAsGroup: 65532", "", "not those of an ordinary user")]
    [InlineData("type: RuntimeDefault", "type: Unconfined", "seccompProfile is not RuntimeDefault")]
    [InlineData("allowPrivilegeEscalation: false", "privileged: true", "allowPrivilegeEscalation is not false")]
    [InlineData("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false, privileged: true", "main: privileged")]
    [InlineData("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem is not true")]
    [InlineData("drop: [ALL]", "drop: [NET_RAW]", "not all capabilities are dropped")]
    [InlineData("drop: [ALL]", "drop: [ALL], add: [NET_ADMIN]", "not all capabilities are dropped")]
    [InlineData("thing:1.2.3", "thing:latest", "has no version")]
    [InlineData("thing:1.2.3", "thing", "has no version")]
    [InlineData("imagePullPolicy: IfNotPresent", "imagePullPolicy: Always", "would wait for the registry")]
    [InlineData("cpu: \"1\", ", "", "are missing")]
    [InlineData("limits: { memory: 4Gi }", "limits: { memory: 512Mi }", "the limit of memory is less than what is requested")]
    [InlineData("limits: { memory: 4Gi }", "limits: { memory: 4Gi, cpu: 1 }", "a limit of cpu stops all event loops")]
    [InlineData("readinessProbe: { httpGet: { path: /readyz", "readinessProbe: { httpGet: { path: /healthz", "readinessProbe does not ask for /readyz")]
    [InlineData("livenessProbe: { httpGet: { path: /healthz, port: web", "livenessProbe: { httpGet: { path: /healthz, port: http", "livenessProbe: the container has no TCP port http")]
    public void A_pod_with_too_many_rights_or_too_little_time_is_found(string right, string wrong, string problem)
    {
        var workload = Manifest.Parse(Changed(right, wrong)).Single(item => item.IsWorkload);

        Assert.Contains(PodRules.Problems(workload, drainSeconds: 0), found => found.Contains(problem, StringComparison.Ordinal));
    }

    [Fact]
    public void A_drain_needs_a_longer_grace_period() =>
        Assert.Contains("takes up to 315 s", Assert.Single(PodRules.Problems(Manifest.Parse(Right).Single(item => item.IsWorkload), drainSeconds: 300)), StringComparison.Ordinal);

    [Theory]
    [InlineData("template:\n    metadata: { labels: { app: pod } }", "template:\n    metadata: { labels: { app: other } }", "the selector does not find its own pods")]
    [InlineData("serviceName: http", "serviceName: other", "serviceName other is no headless Service")]
    [InlineData("clusterIP: None", "type: ClusterIP", "serviceName http is no headless Service")]
    [InlineData("serviceAccountName: account", "serviceAccountName: default", "there is no ServiceAccount default")]
    [InlineData("priorityClassName: priority", "priorityClassName: other", "there is no PriorityClass other")]
    [InlineData("topologyKey: zone, labelSelector: { matchLabels: { app: pod } }", "topologyKey: zone, labelSelector: { matchLabels: { app: other } }", "zone counts other pods")]
    [InlineData("{ name: dumps, mountPath: /dumps }", "{ name: dump, mountPath: /dumps }", "there is no volume dump to mount")]
    [InlineData("{ name: dumps, mountPath: /dumps }, ", "", "nobody mounts the volume dumps")]
    [InlineData("volumeClaimTemplates: [{ metadata: { name: dumps } }]", "volumeClaimTemplates: [{ metadata: { name: dumps } }, { metadata: { name: shared } }]", "there are two volumes shared")]
    [InlineData("configMap: { name: settings }", "configMap: { name: setting }", "there is no ConfigMap setting")]
    [InlineData("claimName: claim", "claimName: other", "there is no PersistentVolumeClaim other")]
    [InlineData("secretKeyRef: { name: told,", "secretKeyRef: { name: untold,", "nobody is told to make the Secret untold")]
    [InlineData(", optional: true", "", "without the Secret told no pod would start")]
    [InlineData("targetPort: web, protocol: TCP", "targetPort: http, protocol: TCP", "the pods have no TCP port http")]
    [InlineData("targetPort: web, protocol: TCP", "targetPort: web, protocol: UDP", "the pods have no UDP port web")]
    [InlineData("selector: { app: pod }", "selector: { app: other }", "Service http: the selector finds no pods")]
    [InlineData("clusterIP: None", "clusterIP: None\n  sessionAffinityConfig: {}", "sessionAffinityConfig without sessionAffinity")]
    [InlineData("maxUnavailable: 1, selector: { matchLabels: { app: pod } }", "maxUnavailable: 1, selector: { matchLabels: { app: other } }", "PodDisruptionBudget budget: the selector finds no pods")]
    [InlineData("podSelector: { matchLabels: { app: pod } }", "podSelector: {}", "NetworkPolicy policy: the selector finds no pods")]
    [InlineData("endpoints: [{ port: web }]", "endpoints: [{ port: http }]", "has no port http")]
    [InlineData("jobLabel: name", "jobLabel: app", "the job would not be netdump-collector")]
    [InlineData("matchLabels: { name: netdump-collector }", "matchLabels: { name: other }", "the selector finds 0 Services")]
    [InlineData("metadata: { name: budget, namespace: netdump }", "metadata: { name: budget, namespace: default }", "namespace default, the overlay's is netdump")]
    [InlineData("metadata: { name: priority }", "metadata: { name: priority, namespace: netdump }", "PriorityClass priority: namespace netdump")]
    [InlineData("metadata: { name: http, namespace", "metadata: { name: netdump, namespace", "variables for it would begin with NETDUMP_, as settings do")]
    [InlineData("kind: StatefulSet", "kind: DaemonSet", "only minAvailable as a number works")]
    [InlineData("name: policy, ", "name: policy, namespace: netdump }\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: policy, ", "NetworkPolicy policy is there twice")]
    public void What_does_not_fit_together_is_found(string right, string wrong, string problem)
    {
        var objects = Manifest.Parse(Changed(right, wrong));

        Assert.Contains(ReferenceRules.Problems(objects, ["told"]), found => found.Contains(problem, StringComparison.Ordinal));
    }

    private static string Changed(string right, string wrong)
    {
        Assert.Contains(right, Right, StringComparison.Ordinal);
        return Right.Replace(right, wrong, StringComparison.Ordinal);
    }
}
