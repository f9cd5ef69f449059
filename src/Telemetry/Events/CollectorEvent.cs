using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry.Events;

/// <summary>Something that somebody may want to be told of at once.</summary>
/// <param name="At">When it happened.</param>
public abstract record CollectorEvent(DateTimeOffset At)
{
    /// <summary>Tells it from all other events of all collectors; set when it is published.</summary>
    public string Id { get; internal set; } = "";

    /// <summary>When it was published, by the feed's clock: that one does not jump.</summary>
    public long Timestamp { get; internal set; }

    /// <summary>What kind it is: in CloudEvents' <c>type</c>, behind the program's name, and as the name of a server-sent event.</summary>
    public abstract string Type { get; }
}

/// <summary>The first bytes of a dump came.</summary>
public sealed record DumpStarted(DateTimeOffset At, string DumpId, Ipv4 Client, string Host) : CollectorEvent(At)
{
    public override string Type => "dump.started";
}

/// <summary>A dump ended and lies under its final names.</summary>
/// <param name="At">When it ended.</param>
/// <param name="DumpId">Its identity.</param>
/// <param name="Client">The client's address.</param>
/// <param name="Host">The client's name, as in the file names.</param>
/// <param name="Status">What the dump is worth.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="Bytes">Length of the file.</param>
/// <param name="MissingBytes">Bytes known to be missing.</param>
/// <param name="Panic">The panic message of its header, or null.</param>
/// <param name="File">Path of the data, from the dump directory.</param>
/// <param name="Seconds">From the herald to the end.</param>
public sealed record DumpEnded(DateTimeOffset At, string DumpId, Ipv4 Client, string Host, DumpStatus Status, EndReason Reason, ulong Bytes, ulong MissingBytes,
    string? Panic, string File, double Seconds) : CollectorEvent(At)
{
    public override string Type => Status == DumpStatus.Complete ? "dump.completed" : "dump.incomplete";
}

/// <summary>Many hosts panic at once.</summary>
/// <param name="At">When that was noticed.</param>
/// <param name="Dumps">Dumps that started lately.</param>
/// <param name="WithinSeconds">How lately.</param>
public sealed record StormDetected(DateTimeOffset At, int Dumps, int WithinSeconds) : CollectorEvent(At)
{
    public override string Type => "storm.detected";
}

/// <summary>Something that happened at another node of the fleet.</summary>
/// <param name="At">When it happened.</param>
/// <param name="Kind">What kind it is there.</param>
/// <param name="Json">The event as a CloudEvent, as that node wrote it.</param>
public sealed record ElsewhereHappened(DateTimeOffset At, string Kind, string Json) : CollectorEvent(At)
{
    public override string Type => Kind;
}
