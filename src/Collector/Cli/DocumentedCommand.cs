using System.CommandLine;

namespace NetdumpCollector.Collector.Cli;

/// <summary>A command whose help ends with notes and examples.</summary>
internal sealed class DocumentedCommand(string name, string description, Documentation documentation) : Command(name, description)
{
    public Documentation Documentation { get; } = documentation;
}

/// <summary>What the help says after the options.</summary>
internal sealed record Documentation
{
    /// <summary>A command line and what it is for.</summary>
    public required IReadOnlyList<(string CommandLine, string Purpose)> Examples { get; init; }

    /// <summary>Paragraphs with a heading each.</summary>
    public IReadOnlyList<(string Heading, string Text)> Notes { get; init; } = [];

    public void Write(TextWriter output)
    {
        foreach (var (heading, text) in Notes)
        {
            output.WriteLine($"{heading}:");
            foreach (string line in text.Split('\n'))
                output.WriteLine($"  {line}");
            output.WriteLine();
        }

        output.WriteLine("Examples:");
        foreach (var (commandLine, purpose) in Examples)
        {
            output.WriteLine($"  {commandLine}");
            output.WriteLine($"      {purpose}");
        }

        output.WriteLine();
    }
}
