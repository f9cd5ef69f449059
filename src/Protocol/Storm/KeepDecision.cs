namespace NetdumpCollector.Protocol.Storm;

/// <summary>How much of one dump is stored.</summary>
/// <param name="HeadBytes">Only the bytes below this offset are; null for all.</param>
/// <param name="SameMessage">So many dumps had this message in the running hour, this one included; 0 where that was not counted.</param>
public readonly record struct KeepDecision(ulong? HeadBytes, int SameMessage)
{
    /// <summary>All of it.</summary>
    public static KeepDecision Full => default;

    public bool IsFull => HeadBytes is null;
}
