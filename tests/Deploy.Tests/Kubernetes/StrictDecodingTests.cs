using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>The comparison finds what an API server would refuse, or silently drop.</summary>
public sealed class StrictDecodingTests
{
    private const string Budget = """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: { name: collector }
        spec:
          minAvailable: 1
          selector: { matchLabels: { app: collector } }
        """;

    private const string Claim = """
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: { name: dumps }
        spec:
          accessModes: [ReadWriteOnce]
          resources: { requests: { storage: 10Gi } }
        """;

    public static TheoryData<string> Overlays => [.. Overlay.Names];

    [Theory]
    [InlineData("{ name: collector }", "{ name: collector, label: {} }", "PodDisruptionBudget collector.metadata: unknown field label")]
    [InlineData("  minAvailable: 1\n", "", "PodDisruptionBudget collector.spec: exactly one is needed of minAvailable, maxUnavailable")]
    [InlineData("  minAvailable: 1\n", "  minAvailable: 1\n  maxUnavailable: 1\n", "PodDisruptionBudget collector.spec: exactly one is needed of minAvailable, maxUnavailable")]
    [InlineData("minAvailable: 1", "minAvailable: \"1\"", "PodDisruptionBudget collector.spec.minAvailable: 1 is no intOrString")]
    [InlineData("minAvailable: 1", "minAvailable: many", "PodDisruptionBudget collector.spec.minAvailable: many is no intOrString")]
    [InlineData("app: collector", "app: true", "PodDisruptionBudget collector.spec.selector.matchLabels.app: true is no string")]
    [InlineData("app: collector", "app: 1", "PodDisruptionBudget collector.spec.selector.matchLabels.app: 1 is no string")]
    [InlineData("{ matchLabels: { app: collector } }", "[app]", "PodDisruptionBudget collector.spec.selector: fields of a LabelSelector are expected")]
    [InlineData("metadata: { name: collector }", "metadata: { name: Collector }", "PodDisruptionBudget Collector.metadata.name: Collector is no name")]
    [InlineData("metadata: { name: collector }\n", "", "PodDisruptionBudget : metadata is missing")]
    [InlineData("policy/v1", "policy/v1beta1", "PodDisruptionBudget collector: nobody knows the type policy/v1beta1/PodDisruptionBudget")]
    public void A_mistake_in_a_budget_is_found(string right, string wrong, string problem) => Assert.Equal([problem], ProblemsOf(Budget, right, wrong));

    [Theory]
    [InlineData("[ReadWriteOnce]", "[ReadWriteTwice]", "PersistentVolumeClaim dumps.spec.accessModes[0]: ReadWriteTwice is no enum(ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod)")]
    [InlineData("[ReadWriteOnce]", "ReadWriteOnce", "PersistentVolumeClaim dumps.spec.accessModes: a list is expected")]
    [InlineData("[ReadWriteOnce]", "[]", "PersistentVolumeClaim dumps.spec.accessModes: an item is needed")]
    [InlineData("10Gi", "10GB", "PersistentVolumeClaim dumps.spec.resources.requests.storage: 10GB is no quantity")]
    [InlineData("{ requests: { storage: 10Gi } }", "{}", "PersistentVolumeClaim dumps.spec.resources: requests is missing")]
    public void A_mistake_in_a_claim_is_found(string right, string wrong, string problem) => Assert.Equal([problem], ProblemsOf(Claim, right, wrong));

    [Theory]
    [InlineData("int", "1", true)]
    [InlineData("int", "\"1\"", false)]
    [InlineData("int", "1.5", false)]
    [InlineData("int(1..9)", "9", true)]
    [InlineData("int(1..9)", "10", false)]
    [InlineData("int(1..9)", "0", false)]
    [InlineData("bool", "true", true)]
    [InlineData("bool", "\"true\"", false)]
    [InlineData("bool", "yes", false)]
    [InlineData("string", "on", false)]
    [InlineData("string", "\"on\"", true)]
    [InlineData("string", "~", false)]
    [InlineData("string", "0x10", false)]
    [InlineData("string", "1e3", false)]
    [InlineData("string", "1.2.3", true)]
    [InlineData("quantity", "500m", true)]
    [InlineData("quantity", "0.5Gi", true)]
    [InlineData("quantity", "1Gib", false)]
    [InlineData("duration", "15s", true)]
    [InlineData("duration", "15", false)]
    [InlineData("intOrString", "25%", true)]
    [InlineData("intOrString", "250%", false)]
    [InlineData("portOrName", "http", true)]
    [InlineData("portOrName", "65536", false)]
    [InlineData("portOrName", "\"80\"", false)]
    [InlineData("portOrName", "much-too-long-for-a-port", false)]
    [InlineData("fieldPath", "spec.nodeName", true)]
    [InlineData("fieldPath", "spec.nodename", false)]
    public void Scalars_are_taken_as_the_API_takes_them(string type, string text, bool isRight)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader($"value: {text}"));

        Assert.Equal(isRight, Scalars.Expected(type, stream.Documents[0].RootNode.At("value")!) is null);
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void A_typing_error_in_any_field_of_an_overlay_is_found(string overlay)
    {
        foreach (var item in Overlay.Build(overlay))
        {
            foreach (var (node, type) in TypedNodes(item))
            {
                foreach (var (key, value) in node.Children.ToArray())
                {
                    string field = ((YamlScalarNode)key).Value!;
                    var misspelt = new YamlScalarNode($"{field}Misspelt");
                    node.Children.Remove(key);
                    node.Children.Add(misspelt, value);
                    Assert.Contains(StrictDecoding.Problems(item), problem => problem.EndsWith($"unknown field {field}Misspelt", StringComparison.Ordinal) || problem.Contains("nobody knows", StringComparison.Ordinal));
                    node.Children.Remove(misspelt);
                    if (type.Fields[field].IsRequired)
                        Assert.NotEmpty(StrictDecoding.Problems(item));
                    node.Children.Add(key, value);
                }
            }

            Assert.Empty(StrictDecoding.Problems(item));
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public void A_value_of_another_type_in_any_field_of_an_overlay_is_found(string overlay)
    {
        foreach (var item in Overlay.Build(overlay))
        {
            foreach (var (node, _) in TypedNodes(item))
            {
                foreach (var (key, value) in node.Children.ToArray().Where(pair => pair.Value is YamlScalarNode))
                {
                    // No field of ours is a fraction.
                    node.Children[key] = new YamlScalarNode("1.5") { Style = ScalarStyle.Plain };
                    Assert.NotEmpty(StrictDecoding.Problems(item));
                    node.Children[key] = value;
                }
            }
        }
    }

    private static IReadOnlyList<string> ProblemsOf(string manifest, string right, string wrong)
    {
        Assert.Empty(StrictDecoding.Problems(Assert.Single(Manifest.Parse(manifest))));
        Assert.Contains(right, manifest, StringComparison.Ordinal);
        return StrictDecoding.Problems(Assert.Single(Manifest.Parse(manifest.Replace(right, wrong, StringComparison.Ordinal))));
    }

    /// <summary>Everything in it that has fields, with what is known of them.</summary>
    private static List<(YamlMappingNode Node, TypeFacts Type)> TypedNodes(Manifest item)
    {
        var found = new List<(YamlMappingNode, TypeFacts)>();
        Collect(item.Root, SchemaFacts.Shipped.Kinds[item.Type]);
        return found;

        void Collect(YamlMappingNode node, TypeFacts type)
        {
            found.Add((node, type));
            foreach (var (key, value) in node.Children)
            {
                var field = type.Fields[((YamlScalarNode)key).Value!];
                if (!SchemaFacts.Shipped.Types.TryGetValue(field.Type, out var inner))
                    continue;
                foreach (var child in field.Shape == FieldShape.One ? [value] : value is YamlSequenceNode list ? list.Children : ((YamlMappingNode)value).Children.Values)
                    Collect((YamlMappingNode)child, inner);
            }
        }
    }
}
