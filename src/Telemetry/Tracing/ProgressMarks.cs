namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>Where a dump's progress is worth an event: each tenth of its length; while that is not known, each time that it has doubled.</summary>
internal struct ProgressMarks
{
    /// <summary>The first mark of a dump whose length is not known, in bytes.</summary>
    public const ulong FirstBytes = 64 << 20;

    private ulong _next;
    private ulong? _total;

    /// <param name="bytes">Bytes that are stored already; nothing up to them is a mark.</param>
    public ProgressMarks(ulong bytes) => _next = NextAfter(bytes);

    /// <summary>Whether a mark was passed; the next one lies beyond <paramref name="bytes"/> then. A length that is new, or another, passes none.</summary>
    /// <param name="bytes">Bytes that are stored.</param>
    /// <param name="total">Bytes of the whole dump where they are known; an estimate may change.</param>
    public bool Passes(ulong bytes, ulong? total)
    {
        bool isPassed = bytes >= _next && total == _total;
        if (!isPassed && total == _total)
            return false;
        _total = total;
        _next = NextAfter(bytes);
        return isPassed;
    }

    private readonly ulong NextAfter(ulong bytes)
    {
        if (_total is ulong total)
        {
            ulong tenth = Math.Max(1, total / 10);
            ulong tenths = bytes / tenth + 1;
            return tenths < 10 ? tenths * tenth : bytes < total ? total : ulong.MaxValue;
        }

        ulong mark = FirstBytes;
        while (mark <= bytes && mark != 0)
            mark <<= 1;
        return mark == 0 ? ulong.MaxValue : mark;
    }
}
