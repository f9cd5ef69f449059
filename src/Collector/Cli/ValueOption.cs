using System.CommandLine;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Cli;

/// <summary>Options with a parser of ours, whose errors name the option, the value and what is allowed.</summary>
internal static class ValueOption
{
    /// <summary>An option that has <paramref name="fallback"/> as its value when it is not given; the help shows it where it is a value of its own.</summary>
    public static Option<T> Create<T>(string name, string valueName, Setting<T>.Parser parse, T fallback, string allowed, string help)
    {
        var option = new Option<T>(name)
        {
            HelpName = valueName,
            Description = help,
            Arity = ArgumentArity.ExactlyOne,
            CustomParser = result =>
            {
                string text = result.Tokens[0].Value;
                if (parse(text, out var value))
                    return value;

                result.AddError($"{name}: invalid value \"{text}\"; allowed: {allowed}");
                return fallback;
            },
        };
        if (!EqualityComparer<T>.Default.Equals(fallback, default))
            option.DefaultValueFactory = _ => fallback;
        return option;
    }
}
