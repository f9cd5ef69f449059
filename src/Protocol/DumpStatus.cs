namespace NetdumpCollector.Protocol;

/// <summary>What an ended dump is worth.</summary>
public enum DumpStatus
{
    /// <summary>A valid header came and every byte of <c>[0, dumplength)</c> is stored, each with one value only.</summary>
    Complete,

    /// <summary>Bytes are missing, or nobody knows whether they are.</summary>
    Incomplete,

    /// <summary>Every byte is stored, but a retransmission disagreed with what had been stored.</summary>
    Damaged,

    /// <summary>Every byte came and was acked, but by the operator's policy (<c>--keep</c>) only the first ones are stored.</summary>
    Truncated,

    /// <summary>The client finished without a valid kernel dump header; what it sent is contiguous from byte 0.</summary>
    Headerless,
}

/// <summary>Why a dump ended.</summary>
public enum EndReason
{
    /// <summary>The client sent FINISHED.</summary>
    Finished,

    /// <summary>Header and all bytes came, FINISHED did not: a kernel whose earlier netdump attempt failed (protocol.md, "Messages").</summary>
    SilentAfterHeader,

    /// <summary>The client fell silent.</summary>
    ClientTimedOut,

    /// <summary>The same host heralded again and its new dump took over.</summary>
    Superseded,

    /// <summary>The file could not be written.</summary>
    WriteError,

    /// <summary>The server's machine crashed in mid-dump, and the client was gone when it was back.</summary>
    MachineCrashed,

    /// <summary>The session failed inside the server.</summary>
    InternalError,
}
