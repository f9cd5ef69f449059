using System.CommandLine;
using System.CommandLine.Completions;

namespace NetdumpCollector.Collector.Cli;

/// <summary>What an option's value is called in the help: a word in capitals for any, or the words that it can be.</summary>
internal static class ValueNames
{
    private const char Separator = '|';

    /// <summary>Lets a shell complete the words that <paramref name="option"/> can have; N stands for any number and is none of them.</summary>
    public static void Suggest(Option option)
    {
        if (option.HelpName is string names && names.Contains(Separator, StringComparison.Ordinal))
            option.CompletionSources.Add(_ => names.Split(Separator).Where(name => !char.IsAsciiLetterUpper(name[0])).Select(name => new CompletionItem(name)));
    }
}
