using System.CommandLine;
using System.Text.Json.Nodes;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Cli;

/// <summary><c>config</c>: the settings <c>serve</c> would run with and where each comes from.</summary>
internal static class ConfigVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Configuration file", """
                { "directory": "/var/crash", "port": 20023, "endpoint": "shared", /* comments and */ "timeout": 300, }
                """),
        ],
        Examples =
        [
            ("netdump-collector config", "Show what 'serve' would use here."),
            ("netdump-collector config --config /etc/netdump-collector.json", "Check a configuration file; exit code 2 when something in it is wrong."),
            ("NETDUMP_PORT=20123 netdump-collector config --json", "The same for a program."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var json = new Option<bool>("--json") { Description = "Print JSON.", Arity = ArgumentArity.Zero };
        var command = new DocumentedCommand("config", "Show the effective settings and where each comes from; takes the options of 'serve'.", s_documentation);
        var options = new SettingOptions(command, SettingsTable.All);
        command.Add(json);
        command.SetAction(parseResult => Show(options.Resolve(parseResult, io), parseResult.GetValue(json), io.Output));
        return command;
    }

    private static void Show(SettingsResolution settings, bool asJson, TextWriter output)
    {
        if (asJson)
        {
            var document = new JsonObject(settings.All.Select(resolved => KeyValuePair.Create<string, JsonNode?>(
                resolved.Setting.Name, new JsonObject { ["value"] = ToJson(resolved), ["source"] = resolved.Source })));
            output.WriteLine(document.ToJsonString(JsonText.Indented));
            return;
        }

        var table = new TextTable("SETTING", "VALUE", "SOURCE");
        foreach (var resolved in settings.All)
            table.Add(resolved.Setting.Name, resolved.Text.Length == 0 ? "-" : resolved.Text, resolved.Source);
        table.Write(output);
    }

    private static JsonValue? ToJson(ResolvedSetting resolved) => (resolved.Setting.Kind, resolved.Value) switch
    {
        (_, null) => null,
        (SettingKind.Number, object value) => JsonValue.Create(Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture)),
        (SettingKind.Flag, bool value) => JsonValue.Create(value),
        _ => JsonValue.Create(resolved.Text),
    };
}
