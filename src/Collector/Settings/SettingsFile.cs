using System.Text.Json;

namespace NetdumpCollector.Collector.Settings;

/// <summary>Reads a configuration file: one JSON object whose keys are setting names.</summary>
internal static class SettingsFile
{
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Returns what the file gives; what is wrong with it is added to <paramref name="problems"/>.</summary>
    public static Dictionary<Setting, SettingsResolution.Given> Read(string path, List<string> problems)
    {
        var given = new Dictionary<Setting, SettingsResolution.Given>();
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), s_lenient);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                problems.Add($"config: {path} holds {Describe(document.RootElement)}; allowed: a JSON object whose keys are setting names");
            else
                foreach (var property in document.RootElement.EnumerateObject())
                    Take(property, path, given, problems);
        }
        // Text that is not UTF-8, or half of a surrogate pair, is only found where it is read.
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            problems.Add($"config: {path} is not JSON: {exception.Message}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add($"config: cannot read \"{path}\": {exception.Message}");
        }

        return given;
    }

    private static void Take(JsonProperty property, string path, Dictionary<Setting, SettingsResolution.Given> given, List<string> problems)
    {
        var setting = SettingsTable.All.FirstOrDefault(candidate => candidate.AllowedInFile && candidate.Name == property.Name);
        if (setting is null)
        {
            var names = SettingsTable.All.Where(candidate => candidate.AllowedInFile).Select(candidate => candidate.Name).Order(StringComparer.Ordinal);
            problems.Add($"unknown setting \"{property.Name}\" in {path}; allowed: {string.Join(", ", names)}");
            return;
        }

        string source = $"file {path}";
        string? text = (setting.Kind, property.Value.ValueKind) switch
        {
            (SettingKind.Text, JsonValueKind.String) => property.Value.GetString(),
            (SettingKind.Text, JsonValueKind.Array) when setting.IsList && property.Value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) =>
                string.Join(',', property.Value.EnumerateArray().Select(item => item.GetString())),
            (SettingKind.Number, JsonValueKind.Number) => property.Value.GetRawText(),
            (SettingKind.Flag, JsonValueKind.True or JsonValueKind.False) => property.Value.GetRawText(),
            _ => null,
        };
        if (text is null)
            problems.Add($"{setting.Name}: {Describe(property.Value)} in {path} where {NameOf(setting.Kind)} belongs; allowed: {setting.Allowed}");
        else if (!given.TryAdd(setting, new(text, source)))
            problems.Add($"{setting.Name}: given twice in {path}, again{(setting.Shown is null ? $" as {property.Value.GetRawText()}" : "")}; allowed: {setting.Allowed}, once");
    }

    private static string NameOf(SettingKind kind) => kind switch
    {
        SettingKind.Number => "a number",
        SettingKind.Flag => "true or false",
        _ => "a string",
    };

    private static string Describe(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => $"the string {element.GetRawText()}",
        JsonValueKind.Number => $"the number {element.GetRawText()}",
        _ => element.GetRawText(),
    };
}
