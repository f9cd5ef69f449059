namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Tests that others disturb: by taking the processor for longer than a server may take for something, or by starting processes.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneTests
{
    public const string Name = "Alone";
}
