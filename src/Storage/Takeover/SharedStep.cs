namespace NetdumpCollector.Storage;

/// <summary>What has just been done to a shared dump; another node may do anything before what comes next, and a crash may come in its place.</summary>
internal enum SharedStep
{
    // A node begins a dump.
    EntryMade,

    // A node takes a dump over.
    ChainRead,
    EpochClaimed,
    SegmentMade,
    FormerMarked,
    ClaimDurable,
    LedgersRead,
    BaseWritten,

    // Its first owner gives it up.
    GivenUp,

    // Its owner ends it.
    DataSettled,
    IndexNoted,
    IndexClaimed,
    MarkerDrafted,
    MarkerNamed,
    MarkerDurable,

    // Anybody brings the commit to its end.
    CoreOpened,
    RangeJoined,
    LengthSet,
    CoreDurable,
    KeyNamed,
    InfoNamed,
    Pointed,
    ManifestNamed,
    ManifestDurable,
    SegmentRemoved,

    // What is left is removed.
    FirstLedgerRemoved,
    LedgerRemoved,
    MarkerRemoved,
    EntryRemoved,
}
