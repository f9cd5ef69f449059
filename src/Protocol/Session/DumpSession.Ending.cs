namespace NetdumpCollector.Protocol.Session;

public sealed partial class DumpSession
{
    private bool _durable;
    private long _lingerEndsUs;

    /// <summary>What the dump came to; set when <see cref="Phase"/> becomes <see cref="SessionPhase.Ending"/>.</summary>
    public DumpSummary? Summary { get; private set; }

    /// <summary>Header and key are there and nothing is missing of what the header announces.</summary>
    private bool IsWhole =>
        _header is { IsValid: true } header && _coverage.Contains(0, header.DumpLength) && KeyIsWhole(header);

    /// <summary>Ends the dump for a reason the client has no part in; does nothing when it has ended.</summary>
    public void End(EndReason reason, string? error = null)
    {
        if (Phase == SessionPhase.HalfOpen)
            Phase = SessionPhase.Closed;
        if (Phase != SessionPhase.Receiving)
            return;

        Summary = Summarise(reason, error);
        Phase = SessionPhase.Ending;
    }

    /// <summary>The dump is durable under its final name: FINISHED may be acked, where the rules allow it.</summary>
    public void OnCommitted(long nowUs)
    {
        _durable = true;
        Linger(nowUs);
        if (_finishSeqno is uint seqno)
            AckFinished(seqno);
    }

    /// <summary>The dump could not be made durable; FINISHED is not acked and the client reports the truth.</summary>
    public void OnCommitFailed(long nowUs) => Linger(nowUs);

    private void Linger(long nowUs)
    {
        Phase = SessionPhase.Lingering;
        _lingerEndsUs = nowUs + _options.LingerUs;
        // Thousands may linger, and a batch of trains makes room for a thousand packets.
        _writes.TrimExcess();
        _records.TrimExcess();
        _compares.TrimExcess();
    }

    private void Finish(long nowUs)
    {
        if (Phase == SessionPhase.HalfOpen && (IsContinuation || _isHeraldRemembered))
        {
            // All was sent elsewhere, or to another process: nothing is known here of what is promised.
            Phase = SessionPhase.Closed;
            return;
        }

        if (Phase == SessionPhase.HalfOpen)
        {
            // Nothing was sent, so nothing is promised: the client is let go.
            _durable = true;
            Linger(nowUs);
            _acks.Add(_finishSeqno!.Value);
            return;
        }

        End(EndReason.Finished, _writeError);
    }

    private RejectReason? TakeLateFinished(uint seqno)
    {
        _finishSeqno = seqno;
        if (Phase == SessionPhase.Lingering)
            AckFinished(seqno);
        return null;
    }

    private void AckFinished(uint seqno)
    {
        if (_durable && Summary is null or { Status: not DumpStatus.Incomplete })
            _acks.Add(seqno);
    }

    private bool KeyIsWhole(KernelDumpHeader header) =>
        !header.IsEncrypted || _keyCoverage.Contains(0, Math.Min(header.DumpKeySize, (ulong)_options.MaxKeyBytes));

    private DumpSummary Summarise(EndReason reason, string? error)
    {
        bool headerIsValid = _header is { IsValid: true };
        ulong expected = headerIsValid ? _header!.DumpLength : _coverage.End;
        bool isCut = KeptBytes < expected;
        bool cameWhole = _coverage.Contains(0, expected);
        var stored = isCut ? Stored() : _coverage;
        var missing = new List<ByteRange>();
        ulong missingBytes = 0;
        int missingRanges = 0;
        foreach (var hole in stored.Missing(expected))
        {
            missingBytes += hole.Length;
            missingRanges++;
            if (missing.Count < DumpSummary.MaxListedRanges)
                missing.Add(hole);
        }

        var unverified = _unverifiedEnd == 0 ? [] : _coverage.Missing(_unverifiedEnd).ToArray();
        var status = DumpStatus.Incomplete;
        if (headerIsValid && cameWhole && KeyIsWhole(_header!))
            status = !_damaged.IsEmpty ? DumpStatus.Damaged : isCut ? DumpStatus.Truncated : DumpStatus.Complete;
        else if (headerIsValid && cameWhole)
            error ??= "the dump is encrypted and its key did not arrive";
        else if (!headerIsValid && cameWhole && reason == EndReason.Finished && !_machineCrashed && !IsContinuation)
            status = !_damaged.IsEmpty ? DumpStatus.Damaged : isCut ? DumpStatus.Truncated : DumpStatus.Headerless;

        return new()
        {
            Status = status,
            Reason = reason,
            Error = error,
            Header = _header,
            Key = _key is null ? (ReadOnlyMemory<byte>?)null : _key,
            KeyMissing = [.. _keyCoverage.Missing((ulong)(_key?.Length ?? 0))],
            LengthBytes = status is DumpStatus.Complete or DumpStatus.Damaged or DumpStatus.Truncated && headerIsValid ? Math.Min(expected, KeptBytes) : stored.End,
            CoveredBytes = stored.CoveredBytes,
            Missing = missing,
            MissingBytes = missingBytes,
            MissingRanges = missingRanges,
            Damaged = _damaged.Ranges,
            Overwritten = _overwritten.Ranges,
            Unverified = [.. unverified.Take(DumpSummary.MaxListedRanges)],
            UnverifiedBytes = unverified.Aggregate(0ul, (sum, range) => sum + range.Length),
            UnverifiedRanges = unverified.Length,
            TruncatedBy = isCut ? _keepPolicy : null,
            KeptBytes = KeptBytes,
            Relocated = _relocated,
            PayloadBytes = _bursts.PayloadBytes,
            Counters = Counters,
        };
    }

    /// <summary>What of the bytes that came is in the file.</summary>
    private Coverage Stored()
    {
        var stored = new Coverage();
        foreach (var range in _coverage.Ranges)
            stored.Add(Math.Min(range.Start, KeptBytes), Math.Min(range.End, KeptBytes));
        return stored;
    }
}
