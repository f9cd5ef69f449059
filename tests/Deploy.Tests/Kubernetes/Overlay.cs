using System.Collections.Concurrent;
using System.Text.Json;
using NetdumpCollector.Collector.Tests;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>What kubectl makes of one overlay.</summary>
internal static class Overlay
{
    private static readonly ConcurrentDictionary<string, Lazy<string>> s_built = new();

    public static IReadOnlyList<string> Names { get; } = ["single", "fleet-hostnetwork", "fleet-loadbalancer"];

    /// <summary>Its objects, which the caller may change.</summary>
    public static IReadOnlyList<Manifest> Build(string name) => Manifest.Parse(BuiltText($"deploy/k8s/overlays/{name}"));

    /// <summary>Its objects with components switched on besides.</summary>
    public static IReadOnlyList<Manifest> BuildWith(string name, IEnumerable<string> components)
    {
        using var temp = new TempDirectory();
        // Kustomize takes relative paths only, as they are without symbolic links.
        string from = new DirectoryInfo(temp.Path).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? temp.Path;
        string PathTo(string directory) => Path.GetRelativePath(from, RepositoryRoot.File($"deploy/k8s/{directory}"));
        temp.Write("kustomization.yaml", $"""
            apiVersion: kustomize.config.k8s.io/v1beta1
            kind: Kustomization
            namespace: netdump
            resources: [{PathTo($"overlays/{name}")}]
            components: [{string.Join(", ", components.Select(component => PathTo($"components/{component}")))}]
            """);
        return Manifest.Parse(TextOf(temp.Path));
    }

    /// <summary>What kubectl prints for a directory of the repository; it is asked once.</summary>
    public static string BuiltText(string directory) => s_built.GetOrAdd(directory, path => new(() => TextOf(RepositoryRoot.File(path)))).Value;

    private static string TextOf(string directory)
    {
        var run = ToolRun.OfAsync(Kubectl.Program, "kustomize", directory).GetAwaiter().GetResult();
        Assert.True(run.ExitCode == 0, $"kubectl kustomize {directory}: {run.Error}");
        // It warns of what a later version no longer takes.
        Assert.Equal("", run.Error);
        return run.Output;
    }
}

internal static class Kubectl
{
    public const string Program = "kubectl";

    private const int LeastKustomizeMajor = 5;

    private static readonly Lazy<bool> s_isHere = new(() =>
    {
        try
        {
            var run = ToolRun.OfAsync(Program, "version", "--client", "--output=json").GetAwaiter().GetResult();
            using var version = JsonDocument.Parse(run.ExitCode == 0 ? run.Output : "{}");
            return version.RootElement.TryGetProperty("kustomizeVersion", out var kustomize)
                && int.TryParse(kustomize.GetString()?.TrimStart('v').Split('.')[0], out int major) && major >= LeastKustomizeMajor;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or JsonException)
        {
            return false;
        }
    });

    public static bool IsHere => s_isHere.Value;

    public static string? SkipReason => IsHere ? null : "A kubectl with kustomize 5 (Kubernetes 1.27) is not here, and Debian 12 has none.";
}

/// <summary>A fact about built overlays; skipped without kubectl, also in CI: Debian 12 has 1.20 only.</summary>
internal sealed class KubectlFactAttribute : FactAttribute
{
    public KubectlFactAttribute() => Skip = Kubectl.SkipReason;
}

/// <inheritdoc cref="KubectlFactAttribute"/>
internal sealed class KubectlTheoryAttribute : TheoryAttribute
{
    public KubectlTheoryAttribute() => Skip = Kubectl.SkipReason;
}
