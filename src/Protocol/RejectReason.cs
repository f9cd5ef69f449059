namespace NetdumpCollector.Protocol;

/// <summary>Why a datagram was not used; each is counted, none is answered.</summary>
public enum RejectReason
{
    /// <summary>Shorter than a message header.</summary>
    Runt,

    /// <summary>The header's length disagrees with the datagram's.</summary>
    WrongLength,

    UnknownType,

    /// <summary>Ends beyond the largest dump that is accepted.</summary>
    OffsetOutOfRange,

    /// <summary>The dump would have more separate pieces than are tracked.</summary>
    TooFragmented,

    /// <summary>A key packet ends beyond the largest key that is accepted.</summary>
    OversizedKey,

    /// <summary>A herald path packet ends beyond the longest path that is accepted.</summary>
    OversizedPath,

    /// <summary>A repeated seqno whose offset or length differs from the first time.</summary>
    ConflictingSeqno,

    /// <summary>A seqno far ahead of the running burst, as a late packet of an older dump has.</summary>
    StraySeqno,

    /// <summary>Came to a session's port from another host.</summary>
    ForeignSource,

    /// <summary>Came to the herald port and belongs to no session.</summary>
    NoSession,

    /// <summary>A herald for which there is no room.</summary>
    TooManySessions,

    /// <summary>A herald that displaced the oldest one without data.</summary>
    TooManyHalfOpen,

    /// <summary>The operator does not want the source to be served.</summary>
    NotAllowed,

    /// <summary>A herald of an address that had more dumps lately than one address may.</summary>
    TooManyFromSource,

    /// <summary>A herald from a /24 network that had more dumps lately than one network may.</summary>
    TooManyFromNetwork,

    /// <summary>The session's storage has not caught up; the client sends it again.</summary>
    Backpressure,

    /// <summary>Came after the dump ended.</summary>
    AfterEnd,
}
