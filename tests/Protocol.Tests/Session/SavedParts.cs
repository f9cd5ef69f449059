using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>What a ledger keeps of a session, in memory.</summary>
internal sealed class SavedParts
{
    private readonly List<ByteRange> _stored = [];
    private readonly List<ByteRange> _damaged = [];
    private readonly List<ByteRange> _overwritten = [];
    private readonly List<(ulong Offset, ReadOnlyMemory<byte> Bytes)> _key = [];
    private KernelDumpHeader? _header;
    private byte[]? _state;

    /// <summary>A header or a piece of the key is written down.</summary>
    public void Record(StoreIntent record, byte[] payload)
    {
        if (record.Kind == IntentKind.Key)
            _key.Add((record.Offset, payload));
        else if (_header is not { IsValid: true })
            _header = KernelDumpHeader.Read(payload) ?? _header;
    }

    /// <summary>Only the ranges come to be written down, not the state behind them.</summary>
    public bool SavesRangesOnly { get; set; }

    /// <summary>As the collector does before acks leave.</summary>
    public void Save(DumpSession session, ulong fileLength)
    {
        if (!session.MustSave || session.TryLeaveToLength(fileLength))
            return;

        byte[] state = new byte[DumpSession.StateBytes];
        session.Save(state, fileLength);
        _stored.AddRange(session.UnsavedRanges);
        _damaged.AddRange(session.UnsavedDamage);
        _overwritten.AddRange(session.UnsavedOverwrites);
        if (SavesRangesOnly)
        {
            session.OnSaveFailed();
            return;
        }

        _state = state;
        session.OnSaved(state);
    }

    /// <summary>As the collector does before it writes elsewhere than at the file's end.</summary>
    public void SaveBeforeWrites(DumpSession session, ulong fileLength)
    {
        if (!session.WritesApart(fileLength))
            return;

        _state = new byte[DumpSession.StateBytes];
        session.SaveWithoutLength(_state, fileLength);
        session.OnSavedWithoutLength();
    }

    /// <summary>What the next process finds; <paramref name="read"/> reads the dump.</summary>
    public SavedSession Found(uint heraldSeqno, ulong fileLength, Func<ByteRange, byte[]> read)
    {
        Assert.True(_state is null || DumpSession.IsState(_state));
        var kept = _state is null ? null : DumpSession.FirstBurstOf(_state);
        return new()
        {
            HeraldSeqno = heraldSeqno,
            State = _state,
            FileLength = fileLength,
            FirstBurst = kept is ByteRange range ? read(range) : [],
            MovedFirstBurst = kept is ByteRange { Length: var length } ? read(new(0, length)) : [],
            Ranges = [.. _stored],
            Damaged = [.. _damaged],
            Overwritten = [.. _overwritten],
            Header = _header,
            KeyPieces = [.. _key],
        };
    }
}
