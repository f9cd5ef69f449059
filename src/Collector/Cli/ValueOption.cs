using System.CommandLine;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Cli;

/// <summary>An option with a parser of ours, whose errors name the option, the value and what is allowed.</summary>
/// <remarks>
/// To the library it is text. Options that it knows as another type cost every start of the program, whatever the command,
/// because the runtime has to compile the library's code for each such type.
/// </remarks>
internal sealed class ValueOption<T> : Option<string>
{
    private readonly Setting<T>.Parser _parse;

    /// <summary>An option that stands for <paramref name="defaultText"/> when it is not given, which the help shows; without one it has the default of <typeparamref name="T"/>.</summary>
    public ValueOption(string name, string valueName, Setting<T>.Parser parse, string? defaultText, string allowed, string help)
        : base(name)
    {
        _parse = parse;
        HelpName = valueName;
        ValueNames.Suggest(this);
        Description = help;
        Arity = ArgumentArity.ExactlyOne;
        if (defaultText is not null)
            DefaultValueFactory = _ => defaultText;
        Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !parse(token.Value, out T? _))
                result.AddError($"{Name}: invalid value \"{token.Value}\"; allowed: {allowed}");
        });
    }

    /// <summary>The value in a command line without errors.</summary>
    public T? Read(ParseResult parseResult) => parseResult.GetValue(this) is string text && _parse(text, out var value) ? value : default;
}
