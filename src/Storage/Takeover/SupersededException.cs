namespace NetdumpCollector.Storage;

/// <summary>Another node has the dump: this one writes, acks and commits nothing of it any more.</summary>
/// <param name="message">Which dump, in words.</param>
public sealed class SupersededException(string message) : StorageException(message)
{
    /// <summary>The other node has ended the dump, too.</summary>
    public bool IsCommitted { get; init; }

    /// <summary>It is whole: FINISHED may be acked.</summary>
    public bool IsWhole { get; init; }
}
