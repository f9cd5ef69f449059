using System.Diagnostics.CodeAnalysis;

namespace NetdumpCollector.Collector.Settings;

/// <summary>What a configuration file writes for a setting.</summary>
internal enum SettingKind
{
    Text,
    Number,

    /// <summary>True or false; on the command line an option without a value.</summary>
    Flag,
}

/// <summary>One setting: the option, the environment variable, the configuration key, the help text and the parser are all made from it.</summary>
internal abstract class Setting
{
    public const string EnvironmentPrefix = "NETDUMP_";

    /// <summary>Configuration key and, behind two dashes, long option.</summary>
    public required string Name { get; init; }

    /// <summary>netdumpd's letter for it, where netdumpd has it.</summary>
    public char? Letter { get; init; }

    public SettingKind Kind { get; init; } = SettingKind.Text;

    /// <summary>What the help calls the value.</summary>
    public string ValueName { get; init; } = "VALUE";

    public required string Help { get; init; }

    /// <summary>The values that are accepted, in words that follow "allowed: ".</summary>
    public required string Allowed { get; init; }

    /// <summary>Whether it may be given several times: values are then separated by commas, in a configuration file also the items of an array.</summary>
    public bool IsList { get; init; }

    /// <summary>What the value is called where values are shown, because it may have a secret in it; null for what is shown as it is.</summary>
    public Func<object?, string>? Shown { get; init; }

    /// <summary>What is wrong with a value that is not shown, without anything of it; null where that is not told.</summary>
    public Func<string, string?>? Reason { get; init; }

    /// <summary>Whether a configuration file may hold it.</summary>
    public bool AllowedInFile { get; init; } = true;

    public string LongOption => "--" + Name;

    public string EnvironmentVariable => EnvironmentPrefix + Name.ToUpperInvariant().Replace('-', '_');

    /// <summary>The default as it would be written.</summary>
    public abstract string DefaultText { get; }

    public abstract object? DefaultValue { get; }

    public abstract bool TryParse(string text, out object? value);
}

/// <summary>A setting whose parsed value is a <typeparamref name="T"/>.</summary>
internal sealed class Setting<T> : Setting
{
    public delegate bool Parser(string text, [MaybeNullWhen(false)] out T value);

    private readonly T _default;

    [SetsRequiredMembers]
    public Setting(string name, string defaultText, Parser parse, string allowed, string help)
    {
        Name = name;
        Parse = parse;
        Allowed = allowed;
        Help = help;
        DefaultText = defaultText;
        _default = parse(defaultText, out var value) ? value : throw new ArgumentException($"{name}: the default {defaultText} is not allowed", nameof(defaultText));
    }

    public Parser Parse { get; }

    public override string DefaultText { get; }

    public override object? DefaultValue => _default;

    public override bool TryParse(string text, out object? value)
    {
        bool parsed = Parse(text, out var typed);
        value = typed;
        return parsed;
    }
}
