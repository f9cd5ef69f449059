namespace NetdumpCollector.Storage;

/// <summary>A file or directory could not be used; the message names it and says why.</summary>
public class StorageException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Where a dump whose commit failed was kept all the same, described as a write error; null when its partial file stayed in place.</summary>
    public CommittedDump? Kept { get; init; }
}
