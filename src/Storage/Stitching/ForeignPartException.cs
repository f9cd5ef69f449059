namespace NetdumpCollector.Storage.Stitching;

/// <summary>What is said to be another part of a dump has other bytes: it is of another panic, and nothing is stitched.</summary>
public sealed class ForeignPartException(string message) : StorageException(message);
