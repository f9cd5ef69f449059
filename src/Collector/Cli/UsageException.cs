namespace NetdumpCollector.Collector.Cli;

/// <summary>Options or settings that cannot be used; each problem names the setting, where its value came from and what is allowed.</summary>
internal sealed class UsageException(params IReadOnlyList<string> problems) : Exception(string.Join('\n', problems))
{
    public IReadOnlyList<string> Problems { get; } = problems;
}
