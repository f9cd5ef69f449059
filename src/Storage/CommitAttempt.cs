namespace NetdumpCollector.Storage;

/// <summary>What one attempt to commit a dump has made, so that it can be taken back.</summary>
internal sealed class CommitAttempt(CoreNames names)
{
    /// <summary>The data has <see cref="CoreNames.Core"/>.</summary>
    public CoreNames Names { get; } = names;

    /// <summary>The names of the files that describe the dump, the manifest apart.</summary>
    public List<string> Described { get; } = [];

    /// <summary>The manifest has its name.</summary>
    public bool HasManifest { get; set; }

    /// <summary>The data is a partial file again, and nothing describes it.</summary>
    public bool IsTakenBack { get; set; }
}
