using System.Globalization;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace NetdumpCollector.Deploy.Tests.Kubernetes;

/// <summary>Values without fields, as the API server decodes them: a number is no text and a text is no number.</summary>
internal static partial class Scalars
{
    private const int MaxPortNameChars = 15;
    private const int MaxNameChars = 253;

    public static bool IsKnown(string type) =>
        type is "string" or "name" or "int" or "bool" or "quantity" or "duration" or "intOrString" or "portOrName" or "fieldPath" || type.StartsWith("int(", StringComparison.Ordinal) || type.StartsWith("enum(", StringComparison.Ordinal);

    /// <returns>What is expected instead; null where the value is right.</returns>
    public static string? Expected(string type, YamlNode node)
    {
        if (node is not YamlScalarNode { Value: string value } scalar)
            return type;
        bool isText = IsText(scalar, value);
        bool isRight = type switch
        {
            "string" => isText,
            "name" => isText && value.Length <= MaxNameChars && NameText().IsMatch(value),
            "int" => !isText && IsWhole(value),
            "bool" => !isText && value is "true" or "false",
            "quantity" => QuantityText().IsMatch(value) && (isText || IsWhole(value)),
            "duration" => isText && DurationText().IsMatch(value),
            "intOrString" => isText ? PercentageText().IsMatch(value) : IsWhole(value),
            "portOrName" => isText ? value.Length <= MaxPortNameChars && PortNameText().IsMatch(value) : IsWithin(value, 1, ushort.MaxValue),
            "fieldPath" => isText && value is "metadata.name" or "metadata.namespace" or "metadata.uid" or "spec.nodeName" or "spec.serviceAccountName" or "status.hostIP" or "status.podIP",
            _ when type.StartsWith("enum(", StringComparison.Ordinal) => isText && type[5..^1].Split('|').Contains(value),
            _ => !isText && InRange(type, value),
        };
        return isRight ? null : type;
    }

    /// <summary>What YAML 1.1, which kubectl reads, would take for something else is text only in quotes.</summary>
    private static bool IsText(YamlScalarNode scalar, string value) =>
        scalar.Style is ScalarStyle.SingleQuoted or ScalarStyle.DoubleQuoted or ScalarStyle.Literal or ScalarStyle.Folded || !OtherThanText().IsMatch(value);

    private static bool InRange(string type, string value)
    {
        string[] bounds = type["int(".Length..^1].Split("..");
        return IsWithin(value, long.Parse(bounds[0], CultureInfo.InvariantCulture), long.Parse(bounds[1], CultureInfo.InvariantCulture));
    }

    private static bool IsWithin(string value, long least, long most) => long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) && number >= least && number <= most;

    private static bool IsWhole(string value) => IsWithin(value, int.MinValue, int.MaxValue);

    [GeneratedRegex(@"^(~|null|Null|NULL|true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|y|Y|n|N|[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o?[0-7]+|[-+]?([0-9][0-9_]*)?\.[0-9]+([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|)$")]
    private static partial Regex OtherThanText();

    [GeneratedRegex(@"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
    private static partial Regex NameText();

    [GeneratedRegex(@"^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$")]
    private static partial Regex PortNameText();

    [GeneratedRegex(@"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")]
    private static partial Regex QuantityText();

    [GeneratedRegex(@"^([0-9]+(ms|s|m|h|d|w|y))+$")]
    private static partial Regex DurationText();

    [GeneratedRegex(@"^(100|[0-9]{1,2})%$")]
    private static partial Regex PercentageText();
}
