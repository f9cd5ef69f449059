using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>One object as it would be applied.</summary>
internal sealed class Manifest(YamlMappingNode root)
{
    public YamlMappingNode Root { get; } = root;

    public string Kind => Root.Text("kind") ?? "";

    public string Type => $"{Root.Text("apiVersion")}/{Kind}";

    public string Name => Root.Text("metadata", "name") ?? "";

    public bool IsWorkload => Kind is "StatefulSet" or "DaemonSet";

    /// <summary>Of a workload.</summary>
    public YamlMappingNode PodSpec => Root.At("spec", "template", "spec") as YamlMappingNode ?? throw new InvalidOperationException($"{this} has no pods");

    public static IReadOnlyList<Manifest> Parse(string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        return [.. stream.Documents.Select(document => new Manifest((YamlMappingNode)document.RootNode))];
    }

    public override string ToString() => $"{Kind} {Name}";
}

internal static class YamlNavigation
{
    /// <summary>What lies at a path of keys; null where nothing does.</summary>
    public static YamlNode? At(this YamlNode? node, params ReadOnlySpan<string> path)
    {
        foreach (string key in path)
            node = node is YamlMappingNode map && map.Children.TryGetValue(new YamlScalarNode(key), out var child) ? child : null;
        return node;
    }

    public static string? Text(this YamlNode? node, params ReadOnlySpan<string> path) => (node.At(path) as YamlScalarNode)?.Value;

    public static IEnumerable<YamlNode> Items(this YamlNode? node, params ReadOnlySpan<string> path) => node.At(path) as YamlSequenceNode ?? Enumerable.Empty<YamlNode>();

    public static IReadOnlyDictionary<string, string> Map(this YamlNode? node, params ReadOnlySpan<string> path) =>
        (node.At(path) as YamlMappingNode)?.Children.ToDictionary(pair => ((YamlScalarNode)pair.Key).Value!, pair => ((YamlScalarNode)pair.Value).Value ?? "") ?? [];

    /// <summary>All mappings in it, itself included.</summary>
    public static IEnumerable<YamlMappingNode> Mappings(this YamlNode node) => node.AllNodes.OfType<YamlMappingNode>();
}
