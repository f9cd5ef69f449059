using System.Globalization;
using System.Text.Json;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Compares answers with the schemas that an OpenAPI document has for them: with the keywords that ours uses, and any other is a mistake.</summary>
/// <param name="document">The document.</param>
internal sealed class SchemaCheck(JsonElement document)
{
    /// <summary>What is wrong with an answer, each with where; a field that the schema does not have is wrong as well.</summary>
    public List<string> Of(JsonElement schema, JsonElement value)
    {
        var wrong = new List<string>();
        Check(schema, value, "$", wrong);
        return wrong;
    }

    /// <summary>The schema of the JSON that the operation answers with this status.</summary>
    public JsonElement SchemaOf(string path, string method, int status)
    {
        var responses = document.GetProperty("paths").GetProperty(path).GetProperty(method).GetProperty("responses");
        Assert.True(responses.TryGetProperty(status.ToString(CultureInfo.InvariantCulture), out var response), $"{method} {path} has no answer {status}");
        return Resolve(response).GetProperty("content").GetProperty("application/json").GetProperty("schema");
    }

    private void Check(JsonElement schema, JsonElement value, string where, List<string> wrong)
    {
        schema = Resolve(schema);
        foreach (var keyword in schema.EnumerateObject())
        {
            switch (keyword.Name)
            {
                case "type" when !TypesOf(keyword.Value).Any(type => Is(type, value)):
                    wrong.Add($"{where}: {value.GetRawText()} is no {keyword.Value.GetRawText()}");
                    break;
                case "enum" when keyword.Value.EnumerateArray().All(allowed => !JsonElement.DeepEquals(allowed, value)):
                    wrong.Add($"{where}: {value.GetRawText()} is none of {keyword.Value.GetRawText()}");
                    break;
                case "const" when !JsonElement.DeepEquals(keyword.Value, value):
                    wrong.Add($"{where}: {value.GetRawText()} is not {keyword.Value.GetRawText()}");
                    break;
                case "minimum" when value.ValueKind == JsonValueKind.Number && value.GetDouble() < keyword.Value.GetDouble():
                case "maximum" when value.ValueKind == JsonValueKind.Number && value.GetDouble() > keyword.Value.GetDouble():
                    wrong.Add($"{where}: {value.GetRawText()} is out of range");
                    break;
                case "format" when keyword.Value.GetString() == "date-time" && value.ValueKind == JsonValueKind.String && !(value.TryGetDateTimeOffset(out _) && value.GetString()!.EndsWith('Z')):
                    wrong.Add($"{where}: {value.GetRawText()} is no time in UTC");
                    break;
                case "required" when value.ValueKind == JsonValueKind.Object:
                    wrong.AddRange(keyword.Value.EnumerateArray().Where(name => !value.TryGetProperty(name.GetString()!, out _)).Select(name => $"{where}: lacks {name}"));
                    break;
                case "properties" when value.ValueKind == JsonValueKind.Object:
                    foreach (var property in value.EnumerateObject())
                    {
                        if (keyword.Value.TryGetProperty(property.Name, out var known))
                            Check(known, property.Value, $"{where}.{property.Name}", wrong);
                        else
                            wrong.Add($"{where}: {property.Name} is not described");
                    }

                    break;
                case "items" when value.ValueKind == JsonValueKind.Array:
                    foreach (var (index, item) in value.EnumerateArray().Index())
                        Check(keyword.Value, item, $"{where}[{index}]", wrong);
                    break;
                case "oneOf" when keyword.Value.EnumerateArray().Select(choice => Of(choice, value)).ToArray() is var choices && choices.Count(choice => choice.Count == 0) != 1:
                    wrong.Add($"{where}: fits {choices.Count(choice => choice.Count == 0)} of the choices: {string.Join("; ", choices.SelectMany(choice => choice))}");
                    break;
                case "type" or "enum" or "const" or "minimum" or "maximum" or "format" or "required" or "properties" or "items" or "oneOf" or "description" or "default":
                    break;
                default:
                    wrong.Add($"{where}: the schema has {keyword.Name}, which this check does not know");
                    break;
            }
        }
    }

    private JsonElement Resolve(JsonElement element)
    {
        while (element.TryGetProperty("$ref", out var reference))
            element = reference.GetString()![2..].Split('/').Aggregate(document, (at, name) => at.GetProperty(name));
        return element;
    }

    private static IEnumerable<string> TypesOf(JsonElement type) => type.ValueKind == JsonValueKind.String ? [type.GetString()!] : type.EnumerateArray().Select(name => name.GetString()!);

    private static bool Is(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "number" => value.ValueKind == JsonValueKind.Number,
        "integer" => value.ValueKind == JsonValueKind.Number && (value.TryGetInt64(out _) || value.TryGetUInt64(out _)),
        _ => false,
    };
}
