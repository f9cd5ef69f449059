namespace NetdumpCollector.Protocol.Storm;

/// <summary>How much of one dump is stored.</summary>
/// <param name="HeadBytes">Only the bytes below this offset are; null for all.</param>
/// <param name="Slot">The place among the whole dumps of its message that it takes up; null where that is not counted.</param>
public readonly record struct KeepDecision(ulong? HeadBytes, StormSlot? Slot)
{
    /// <summary>All of it.</summary>
    public static KeepDecision Full => default;
}

/// <summary>A place among the dumps with one message that are stored whole in an hour; a dump that breaks off leaves it to the next by <see cref="StormPolicy.GiveBack"/>.</summary>
/// <param name="Signature">The message, as <see cref="PanicSignature"/> has it.</param>
/// <param name="HourStartUs">When the message's hour began, in monotonic microseconds.</param>
public sealed record StormSlot(string Signature, long HourStartUs);
