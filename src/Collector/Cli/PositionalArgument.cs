using System.CommandLine;

namespace NetdumpCollector.Collector.Cli;

/// <summary>Arguments without a name.</summary>
internal static class PositionalArgument
{
    /// <summary>An argument that refuses what looks like an option: a mistyped option must not become a file or an id. A file of such a name is given as <c>./-name</c>.</summary>
    public static Argument<string?> Create(string name, bool required, string help)
    {
        var argument = new Argument<string?>(name) { Description = help, Arity = required ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne };
        argument.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => token.Value.StartsWith('-')))
                result.AddError($"Unrecognized option '{token.Value}'.");
        });
        return argument;
    }
}
