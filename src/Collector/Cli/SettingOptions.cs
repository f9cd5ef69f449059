using System.CommandLine;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Cli;

/// <summary>The options of a command that are made from <see cref="SettingsTable"/>.</summary>
internal sealed class SettingOptions
{
    private readonly List<(Setting Setting, Option Option)> _options = [];

    public SettingOptions(Command command, IEnumerable<Setting> settings)
    {
        foreach (var setting in settings)
        {
            var option = Create(setting);
            _options.Add((setting, option));
            command.Add(option);
        }
    }

    /// <summary>Resolves every setting, those without an option here too.</summary>
    /// <exception cref="UsageException">A setting cannot be used.</exception>
    public SettingsResolution Resolve(ParseResult parseResult, CommandIo io)
    {
        var given = new Dictionary<Setting, string>();
        foreach (var (setting, option) in _options)
        {
            if (parseResult.GetResult(option) is { Implicit: false } result)
                given[setting] = setting.Kind == SettingKind.Flag ? bool.TrueString : string.Join(',', result.Tokens.Select(token => token.Value));
        }

        return SettingsResolution.Resolve(given, io.Environment).CheckTogether();
    }

    /// <summary>Whether <paramref name="setting"/>'s option is on the command line.</summary>
    public bool Has(Setting setting, ParseResult parseResult) =>
        _options.Any(option => option.Setting == setting && parseResult.GetResult(option.Option) is { Implicit: false });

    private static Option Create(Setting setting)
    {
        string[] aliases = setting.Letter is char letter ? [$"-{letter}"] : [];
        string help = $"{setting.Help} [{setting.EnvironmentVariable}; default: {(setting.DefaultText.Length == 0 ? "none" : setting.DefaultText)}]";
        if (setting.Kind == SettingKind.Flag)
            return new Option<bool>(setting.LongOption, aliases) { Description = help, Arity = ArgumentArity.Zero };

        Option option = setting.IsList
            ? new Option<string[]>(setting.LongOption, aliases) { Description = help, HelpName = setting.ValueName, Arity = ArgumentArity.OneOrMore }
            : new Option<string>(setting.LongOption, aliases) { Description = help, HelpName = setting.ValueName };
        ValueNames.Suggest(option);
        return option;
    }
}
