using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>What a record of the model's ledger says.</summary>
internal enum ModelRecordKind
{
    Kdh,
    Key,
    Stored,
    Damaged,
    Overwritten,
    Checkpoint,

    /// <summary>An fsync of the data failed.</summary>
    SyncFailed,
}

/// <summary>A record of the model's ledger.</summary>
/// <param name="Kind">What it says.</param>
/// <param name="Bytes">Header, piece of the key, or state.</param>
/// <param name="Offset">Where a piece of the key belongs.</param>
/// <param name="Ranges">Ranges of the dump.</param>
/// <param name="Seqno">The packet that it stands for.</param>
internal sealed record ModelRecord(ModelRecordKind Kind, byte[] Bytes, ulong Offset, ByteRange[] Ranges, uint Seqno = 0);

/// <summary>A dump's files as they lie in the virtual directory, whoever runs: data, ledger, and manifest.</summary>
/// <remarks>What is read back after a kill or a crash follows DumpDirectory.Recovery.</remarks>
internal sealed class ModelLedger(ushort port, uint heraldSeqno, ModelDisk disk)
{
    private readonly List<ModelRecord> _records = [];
    private readonly byte[]?[] _states = new byte[2][];
    private int _stateNumber;
    private int _syncedRecords;

    public ushort Port { get; } = port;

    public uint HeraldSeqno { get; } = heraldSeqno;

    public ModelDisk Disk { get; } = disk;

    /// <summary>What the commit's manifest says, once it is written.</summary>
    public DumpSummary? Manifest { get; private set; }

    public bool ManifestIsDurable { get; private set; }

    /// <summary>The ledger was removed: nothing is to be continued.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>An fsync of the data failed, as far as the running process or the ledger knows.</summary>
    public bool SyncFailed { get; private set; }

    /// <summary>The machine crashed since the ledger was begun, and nobody has taken it over yet.</summary>
    public bool HasCrashed { get; private set; }

    /// <summary>Files that were never synced may be gone with the machine.</summary>
    public bool IsDurable { get; private set; }

    public void Append(ModelRecord record) => _records.Add(record);

    public void WriteState(byte[] state) => _states[++_stateNumber % 2] = state;

    /// <summary>The process dies while it writes a state: the one before it still counts.</summary>
    public void TearState() => _states[(_stateNumber + 1) % 2] = null;

    public void NoteSyncFailure()
    {
        SyncFailed = true;
        Append(new(ModelRecordKind.SyncFailed, [], 0, []));
    }

    public void Sync()
    {
        _syncedRecords = _records.Count;
        IsDurable = true;
    }

    public void WriteManifest(DumpSummary summary) => Manifest = summary;

    public void SyncManifest()
    {
        ManifestIsDurable = true;
        IsDurable = true;
    }

    /// <summary>The process is gone; what it wrote stays.</summary>
    public void OnKilled() => SyncFailed = _records.Exists(record => record.Kind == ModelRecordKind.SyncFailed);

    /// <summary>The machine is gone. Of the records that were not synced any may be missing, and none is read behind one that is.</summary>
    /// <returns>Something is gone.</returns>
    public bool OnCrashed(Random random)
    {
        if (Manifest is not null && !ManifestIsDurable && random.Next(2) == 0)
            Manifest = null;
        ManifestIsDurable = Manifest is not null;
        int kept = _syncedRecords;
        while (kept < _records.Count && random.Next(4) != 0)
            kept++;
        bool isGone = kept < _records.Count;
        _records.RemoveRange(kept, _records.Count - kept);
        HasCrashed = true;
        if (!IsDurable && random.Next(2) == 0)
            IsRemoved = true;
        OnKilled();
        isGone |= Disk.Crash(random);
        foreach (var record in _records.Where(record => record.Kind is ModelRecordKind.Kdh or ModelRecordKind.Key))
            Disk.NotePacket(record.Seqno);
        return isGone;
    }

    /// <summary>What a new process continues with.</summary>
    public SavedSession Restored()
    {
        byte[]? state = _states[_stateNumber % 2] ?? _states[(_stateNumber + 1) % 2];
        var stored = RangesOf(ModelRecordKind.Stored);
        if (HasCrashed)
        {
            var checkpoint = _records.FindLast(record => record.Kind == ModelRecordKind.Checkpoint);
            state = checkpoint?.Bytes;
            stored = checkpoint?.Ranges ?? [];
        }

        var kept = state is null ? null : DumpSession.FirstBurstOf(state);
        var headers = _records.Where(record => record.Kind == ModelRecordKind.Kdh).Select(record => KernelDumpHeader.Read(record.Bytes)).OfType<KernelDumpHeader>().ToList();
        return new()
        {
            HeraldSeqno = HeraldSeqno,
            State = state,
            FileLength = HasCrashed ? 0 : Disk.Length,
            FirstBurst = kept is ByteRange range ? Disk.Read(range) : [],
            MovedFirstBurst = kept is ByteRange { Length: var length } ? Disk.Read(new(0, length)) : [],
            Ranges = stored,
            Damaged = RangesOf(ModelRecordKind.Damaged),
            Overwritten = RangesOf(ModelRecordKind.Overwritten),
            UnverifiedEnd = HasCrashed ? Disk.Length : 0,
            MachineCrashed = HasCrashed,
            Header = headers.Find(found => found.IsValid) ?? headers.LastOrDefault(),
            KeyPieces = [.. _records.Where(record => record.Kind == ModelRecordKind.Key).Select(record => (record.Offset, (ReadOnlyMemory<byte>)record.Bytes))],
        };
    }

    /// <summary>After a crash of the machine the ledger begins anew, with what is known for sure.</summary>
    public void Restart(SavedSession saved)
    {
        _records.RemoveAll(record => record.Kind is ModelRecordKind.Stored or ModelRecordKind.Checkpoint);
        byte[] state = new byte[DumpSession.StateBytes];
        DumpSession.Restore(new(), saved, nowUs: 0).Save(state);
        Append(new(ModelRecordKind.Stored, [], 0, [.. saved.Ranges]));
        _states[0] = _states[1] = null;
        WriteState(state);
        Disk.BeginSync();
        Disk.EndSync();
        Append(new(ModelRecordKind.Checkpoint, state, 0, [.. saved.Ranges]));
        Sync();
        HasCrashed = false;
    }

    private ByteRange[] RangesOf(ModelRecordKind kind) => [.. _records.Where(record => record.Kind == kind).SelectMany(record => record.Ranges)];
}
