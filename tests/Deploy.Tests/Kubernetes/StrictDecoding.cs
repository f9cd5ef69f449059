using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>Compares objects with the API's types, as an API server does that is asked to be strict: no field that it does not know, none missing that it needs, each value of its type.</summary>
internal static class StrictDecoding
{
    /// <returns>What is wrong, one line each with its path.</returns>
    public static IReadOnlyList<string> Problems(Manifest manifest)
    {
        if (!SchemaFacts.Shipped.Kinds.TryGetValue(manifest.Type, out var kind))
            return [$"{manifest}: nobody knows the type {manifest.Type}"];
        var problems = new List<string>();
        LookAt(manifest.ToString(), kind, manifest.Root, problems);
        return problems;
    }

    private static void LookAt(string path, TypeFacts type, YamlMappingNode node, List<string> problems)
    {
        string[] given = [.. node.Children.Keys.Select(key => ((YamlScalarNode)key).Value ?? "")];
        problems.AddRange(given.Where(field => !type.Fields.ContainsKey(field)).Select(field => $"{path}: unknown field {field}"));
        problems.AddRange(type.Fields.Where(field => field.Value.IsRequired && !given.Contains(field.Key)).Select(field => $"{path}: {field.Key} is missing"));
        if (type.ExactlyOneOf.Count > 0 && type.ExactlyOneOf.Count(given.Contains) != 1)
            problems.Add($"{path}: exactly one is needed of {string.Join(", ", type.ExactlyOneOf)}");
        if (type.AtMostOneOf.Count(given.Contains) > 1)
            problems.Add($"{path}: at most one may be of {string.Join(", ", type.AtMostOneOf)}");
        foreach (var (key, value) in node.Children)
        {
            string field = ((YamlScalarNode)key).Value ?? "";
            if (type.Fields.TryGetValue(field, out var facts))
                LookAt($"{path}.{field}", facts, value, problems);
        }
    }

    private static void LookAt(string path, FieldFacts field, YamlNode node, List<string> problems)
    {
        switch (field.Shape)
        {
            case FieldShape.List when node is YamlSequenceNode list:
                if (field.IsRequired && list.Children.Count == 0)
                    problems.Add($"{path}: an item is needed");
                for (int i = 0; i < list.Children.Count; i++)
                    LookAtValue($"{path}[{i}]", field.Type, list.Children[i], problems);
                break;
            case FieldShape.Map when node is YamlMappingNode map:
                foreach (var (key, value) in map.Children)
                    LookAtValue($"{path}.{((YamlScalarNode)key).Value}", field.Type, value, problems);
                break;
            case FieldShape.One:
                LookAtValue(path, field.Type, node, problems);
                break;
            default:
                problems.Add($"{path}: {(field.Shape == FieldShape.List ? "a list" : "a map")} is expected");
                break;
        }
    }

    private static void LookAtValue(string path, string type, YamlNode node, List<string> problems)
    {
        if (!SchemaFacts.Shipped.Types.TryGetValue(type, out var facts))
        {
            if (Scalars.Expected(type, node) is string expected)
                problems.Add($"{path}: {node} is no {expected}");
        }
        else if (node is YamlMappingNode map)
        {
            LookAt(path, facts, map, problems);
        }
        else
        {
            problems.Add($"{path}: fields of a {type} are expected");
        }
    }
}
