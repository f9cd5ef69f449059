using System.CommandLine;
using System.CommandLine.Parsing;

namespace NetdumpCollector.Collector.Cli;

/// <summary>Arguments without a name.</summary>
internal static class PositionalArgument
{
    /// <summary>An argument that refuses what looks like an option: a mistyped option must not become a file or an id. A file of such a name is given as <c>./-name</c>.</summary>
    public static Argument<string?> Create(string name, bool required, string help)
    {
        var argument = new Argument<string?>(name) { Description = help, Arity = required ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne };
        argument.Validators.Add(RefuseOptions);
        return argument;
    }

    /// <summary>The same for one value or more.</summary>
    public static Argument<string[]> CreateSeveral(string name, string help)
    {
        var argument = new Argument<string[]>(name) { Description = help, Arity = ArgumentArity.OneOrMore };
        argument.Validators.Add(RefuseOptions);
        return argument;
    }

    private static void RefuseOptions(ArgumentResult result)
    {
        foreach (var token in result.Tokens.Where(token => token.Value.StartsWith('-')))
            result.AddError($"Unrecognized option '{token.Value}'.");
    }
}
