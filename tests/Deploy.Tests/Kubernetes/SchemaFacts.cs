using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

internal enum FieldShape
{
    One,
    List,
    Map,
}

/// <summary>What the API says of one field.</summary>
/// <param name="Type">Name of a type with fields, or how a scalar is written.</param>
/// <param name="Shape">One value, or many.</param>
/// <param name="IsRequired">Whether an object without it is refused.</param>
internal sealed record FieldFacts(string Type, FieldShape Shape, bool IsRequired);

/// <summary>What the API says of one type.</summary>
/// <param name="Fields">By name.</param>
/// <param name="ExactlyOneOf">Of these fields there is exactly one; empty where that is not so.</param>
/// <param name="AtMostOneOf">Of these fields there is at most one.</param>
internal sealed record TypeFacts(IReadOnlyDictionary<string, FieldFacts> Fields, IReadOnlyList<string> ExactlyOneOf, IReadOnlyList<string> AtMostOneOf);

/// <summary>The facts of schemas.yaml; how they are written stands there.</summary>
internal sealed partial class SchemaFacts
{
    private const string ExactlyOne = "^one";
    private const string AtMostOne = "^most";

    private static readonly FieldFacts s_requiredText = new("string", FieldShape.One, IsRequired: true);

    private SchemaFacts(Dictionary<string, TypeFacts> kinds, Dictionary<string, TypeFacts> types) => (Kinds, Types) = (kinds, types);

    public static SchemaFacts Shipped { get; } = Load();

    /// <summary>By <c>apiVersion/kind</c>.</summary>
    public IReadOnlyDictionary<string, TypeFacts> Kinds { get; }

    public IReadOnlyDictionary<string, TypeFacts> Types { get; }

    private static SchemaFacts Load()
    {
        using var resource = new StreamReader(typeof(SchemaFacts).Assembly.GetManifestResourceStream("schemas.yaml")!);
        var stream = new YamlStream();
        stream.Load(resource);
        var root = (YamlMappingNode)stream.Documents[0].RootNode;
        var facts = new SchemaFacts(TypesIn(root.At("kinds")!), TypesIn(root.At("types")!));
        foreach (string type in facts.Kinds.Values.Concat(facts.Types.Values).SelectMany(type => type.Fields.Values).Select(field => field.Type).Distinct())
        {
            if (!facts.Types.ContainsKey(type) && !Scalars.IsKnown(type))
                throw new InvalidDataException($"schemas.yaml: nobody knows the type {type}");
        }

        foreach (var (kind, type) in facts.Kinds)
        {
            var fields = (Dictionary<string, FieldFacts>)type.Fields;
            fields.Add("apiVersion", s_requiredText);
            fields.Add("kind", s_requiredText);
            fields.Add("metadata", new("ObjectMeta", FieldShape.One, IsRequired: true));
        }

        return facts;
    }

    private static Dictionary<string, TypeFacts> TypesIn(YamlNode node) =>
        ((YamlMappingNode)node).Children.ToDictionary(pair => ((YamlScalarNode)pair.Key).Value!, pair => TypeOf((YamlMappingNode)pair.Value));

    private static TypeFacts TypeOf(YamlMappingNode node)
    {
        var fields = node.Children.Where(pair => pair.Value is YamlScalarNode).ToDictionary(pair => ((YamlScalarNode)pair.Key).Value!, pair => FieldOf(((YamlScalarNode)pair.Value).Value!));
        return new(fields, Names(node, ExactlyOne), Names(node, AtMostOne));
    }

    private static string[] Names(YamlMappingNode node, string key) => [.. node.Items(key).Select(name => ((YamlScalarNode)name).Value!)];

    private static FieldFacts FieldOf(string text)
    {
        var match = FieldText().Match(text);
        if (!match.Success)
            throw new InvalidDataException($"schemas.yaml: {text} is no type");
        var shape = match.Groups["shape"].Value switch { "[]" => FieldShape.List, "{}" => FieldShape.Map, _ => FieldShape.One };
        return new(match.Groups["type"].Value, shape, match.Groups["required"].Success);
    }

    [GeneratedRegex(@"^(?<type>[A-Za-z]+(\([^)]*\))?)(?<shape>\[\]|\{\})?(?<required>!)?$")]
    private static partial Regex FieldText();
}
