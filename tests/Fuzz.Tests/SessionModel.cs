using System.Buffers.Binary;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Fuzz.Tests;

/// <summary>
/// A session and the shell around it as BurstStore and SessionActor are, driven by orders of 8 bytes: packets of any kind, time, the end of a batch, its failure, the death of the process or
/// of the machine, and what policy and operator decide. After each the session's promises are looked at.
/// </summary>
/// <param name="options">Times and limits.</param>
/// <param name="keepsPromises">False where the session went on from a state that nobody saved: then it must only stay bounded.</param>
internal sealed class SessionModel(SessionOptions options, bool keepsPromises)
{
    public const int OrderBytes = 8;

    /// <summary>Smaller than the transport's, so that bounds of what lasts for more than a batch are met.</summary>
    private const int MaxBatch = 256;

    /// <summary>Ticks that may be asked for at one time.</summary>
    private const int MaxTicksAtOnce = 16;

    private static readonly int[] s_lengths = [1448, 1, 0, 31, 32, 100, 512, 1024, 1400, 1472, 2047, 2048, 4096, 8192, 8948, 9000];
    private static readonly long[] s_waitsUs = [1, 1000, 14_999, 15_000, 50_000, 99_999, 100_000, 1_000_000, 1_100_000, 3_000_000, 8_500_000, 13_000_000, 15_000_000, 30_000_000, 599_000_000, 600_000_000];
    private static readonly ulong[] s_offsets = [0, 1, 4096, 65536, 1 << 20, uint.MaxValue, (1ul << 44) - 1448, (1ul << 44) - 1, 1ul << 44, 1ul << 63, ulong.MaxValue - 1448, ulong.MaxValue];
    private static readonly uint[] s_seqnos = [0, 1, 2, 63, 64, 65, 4096, int.MaxValue, 1u << 31, uint.MaxValue - 63, uint.MaxValue - 1, uint.MaxValue];
    private static readonly byte[] s_header = KernelDumpHeader.Create("amd64", 1, DateTimeOffset.UnixEpoch, 0, 512, DumpCompression.None, "h", "v", "p");

    private readonly List<(MessageType Type, uint Seqno, ulong Offset, byte[] Payload, byte Shade)> _batch = [];
    private readonly Dictionary<uint, List<ByteRange>> _stored = [];
    private readonly HashSet<uint> _recorded = [], _finishes = [];
    private readonly ModelBytes _file = new(), _covered = new(), _saved = new(), _checkpointed = new();
    private readonly List<ByteRange> _savedRanges = [], _savedDamage = [], _savedOverwrites = [];
    private readonly List<(ulong Offset, ReadOnlyMemory<byte> Bytes)> _keyPieces = [];
    private DumpSession _session = new(options, heraldSeqno: 1, nowUs: 1);
    private FuzzRun _run = new();
    private byte[]? _savedState;
    private byte[]? _checkpoint;
    private ByteRange[] _checkpointRanges = [];
    private KernelDumpHeader? _header;
    private bool _committed;
    private bool _isWhole;
    private bool _sentData;
    private uint _seqno = 2;
    private ulong _offset;
    private long _nowUs = 1;
    private int _feature;

    /// <summary>Limits that a short input reaches.</summary>
    public static SessionOptions TestOptions { get; } = new() { MaxRanges = 64, MaxKeyBytes = 8192 };

    /// <summary>Packets so far.</summary>
    public int Packets { get; private set; }

    /// <summary>Those of them that are no dump bytes.</summary>
    public int ControlPackets { get; private set; }

    /// <summary>Sessions so far, restored ones included.</summary>
    public int Sessions { get; private set; } = 1;

    /// <summary>What was saved last, or null.</summary>
    public byte[]? SavedState => _savedState;

    /// <summary>What is saved after a header.</summary>
    public byte[] StateAfter(byte[] header)
    {
        Send(MessageType.Vmcore, 2, 0, 1448, 0);
        Send(MessageType.Kdh, 3, 0, header);
        Settle(0, 0, 0);
        return _savedState!;
    }

    /// <summary>Goes on from what a process is said to have left.</summary>
    public void Restore(SavedSession saved, FuzzRun run)
    {
        _run = run;
        run.Enter();
        _session = DumpSession.Restore(options, saved, _nowUs);
        run.Leave();
        _seqno = _session.ExpectedFirst;
        _savedState = saved.State;
        _covered.CopyFrom(Covered(_session));
        _sentData = true;
    }

    public void Run(ReadOnlySpan<byte> orders, FuzzRun run)
    {
        _run = run;
        for (; orders.Length >= OrderBytes && _session.Phase != SessionPhase.Closed; orders = orders[OrderBytes..])
        {
            Carry(orders[..OrderBytes]);
            Look();
            // Where the session is and what came last, after what came before.
            int now = ((int)_session.Phase << 8) | ((orders[0] % 16) << 4) | Math.Min(FuzzRun.Bucket(_session.CoveredRanges.Length), 3) | (_session.UnsavedRanges.IsEmpty ? 0 : 4) | (_session.ExpectedCount > 256 ? 8 : 0);
            run.Saw(0, _feature, now);
            _feature = now;
        }

        Settle(0, 0, 0);
        Look();
    }

    private void Carry(ReadOnlySpan<byte> order)
    {
        switch (order[0] % 16)
        {
            case 0 or 1 or 2:
                SendBurst(order);
                break;
            case 3:
                SendOne(order);
                break;
            case 4:
                SendFlood(order);
                break;
            case 5:
                SendHeader(order);
                break;
            case 6:
                Send(MessageType.EkcdKey, Seqno(order), (ulong)BinaryPrimitives.ReadUInt16LittleEndian(order[4..]) >> (order[6] & 7), s_lengths[order[7] % s_lengths.Length], 0);
                break;
            case 7:
                Send(MessageType.Finished, Seqno(order), 0, order[7] & 1, 0);
                break;
            case 8:
                Send(MessageType.Herald, order[3] % 4 == 0 ? 1u : Seqno(order), (ulong)BinaryPrimitives.ReadUInt16LittleEndian(order[4..]) >> (order[6] & 15), s_lengths[order[7] % s_lengths.Length], 0);
                break;
            case 9 or 10:
                Settle(order[1] % 4 == 3 ? order[2] : 0, order[3] % 4, order[4]);
                break;
            case 11 or 12:
                Wait(s_waitsUs[order[1] % s_waitsUs.Length], order[2] % 4 != 0);
                break;
            case 13:
                Restart(machineCrashes: order[1] % 4 == 1, written: order[2]);
                break;
            case 14:
                Settle(0, 0, 0);
                BeginCheckpoint(order);
                break;
            default:
                Decide(order);
                break;
        }
    }

    /// <summary>What a kernel sends at once, less what is lost: a bit for each packet, modulo 32.</summary>
    private void SendBurst(ReadOnlySpan<byte> order)
    {
        int payload = s_lengths[order[2] % s_lengths.Length], bytes = WellKnown.PageBytes * (1 + order[3] % 16);
        uint lost = BinaryPrimitives.ReadUInt32LittleEndian(order[4..]) & (order[1] % 4 == 0 ? uint.MaxValue : 0);
        if (payload < 100)
            return;
        int packets = (bytes + payload - 1) / payload;
        for (int i = 0; i < packets; i++)
        {
            int at = (order[1] & 4) != 0 ? packets - 1 - i : i;
            if ((lost >> (at % 32) & 1) == 0)
                Send(MessageType.Vmcore, _seqno + (uint)at, _offset + (ulong)(at * payload), Math.Min(payload, bytes - at * payload), (byte)((order[1] & 8) != 0 ? 1 : 0));
        }

        if ((order[1] & 16) != 0)
            Settle(0, 0, 0);
        if ((order[1] & 32) == 0)
            return;
        _seqno += (uint)packets;
        _offset += (ulong)bytes;
    }

    private void SendOne(ReadOnlySpan<byte> order)
    {
        int length = s_lengths[order[5] % s_lengths.Length];
        ulong offset = (order[6] % 4) switch
        {
            0 => _offset,
            1 => _offset + (ulong)((sbyte)order[4] * length),
            2 => s_offsets[order[4] % s_offsets.Length],
            _ => (ulong)order[4] * 2 * (ulong)Math.Max(1, length),
        };
        var type = (order[7] % 16) switch
        {
            0 => (MessageType)order[4],
            _ => MessageType.Vmcore,
        };
        Send(type, Seqno(order), offset, length, (byte)(order[7] >> 6));
    }

    /// <summary>Many packets in a row to the same two places.</summary>
    private void SendFlood(ReadOnlySpan<byte> order)
    {
        uint seqno = Seqno(order);
        for (uint i = 0; i < order[3]; i++)
        {
            Send(MessageType.Vmcore, seqno + i, s_offsets[order[4] % s_offsets.Length] + (i % 2 * 4096), s_lengths[order[5] % s_lengths.Length], (byte)(i & order[6]));
            if (i % 16 == order[7] % 32)
                Settle(0, 0, 0);
        }
    }

    private void SendHeader(ReadOnlySpan<byte> order)
    {
        byte[] header = [.. s_header];
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(40), (order[4] % 4) switch { 0 => _file.End, 1 => _offset, 2 => BinaryPrimitives.ReadUInt16LittleEndian(order[5..]), _ => ulong.MaxValue });
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(56), (order[7] % 4) switch { 0 => 4096u, 1 => uint.MaxValue, _ => 0 });
        uint parity = 0;
        for (int i = 0; i < header.Length - sizeof(uint); i += sizeof(uint))
            parity ^= BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(i));
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(508), parity ^ (order[3] % 8 == 7 ? 1u : 0));
        Send(MessageType.Kdh, Seqno(order), 0, order[3] % 8 == 6 ? header[..order[4]] : header);
    }

    /// <summary>Near what the client would send next, or anything.</summary>
    private uint Seqno(ReadOnlySpan<byte> order) => (order[1] % 8) switch
    {
        0 => s_seqnos[order[2] % s_seqnos.Length],
        1 => _seqno + (uint)(sbyte)order[2],
        2 => _seqno + (uint)(order[2] * 16),
        3 => _session.ExpectedFirst + order[2],
        _ => _seqno++,
    };

    private void Send(MessageType type, uint seqno, ulong offset, int length, byte shade)
    {
        byte[] payload = new byte[length];
        for (int i = 0; i < length; i++)
            payload[i] = (byte)(offset + (ulong)i + shade);
        Send(type, seqno, offset, payload, shade);
    }

    private void Send(MessageType type, uint seqno, ulong offset, byte[] payload, byte shade = 0)
    {
        if (_batch.Count >= MaxBatch)
            Settle(0, 0, 0);
        Packets++;
        ControlPackets += type == MessageType.Vmcore ? 0 : 1;
        _run.Enter();
        var rejected = _session.OnMessage(new(type, seqno, offset, (uint)payload.Length), payload, _batch.Count, _nowUs);
        _run.Leave();
        _sentData |= rejected is null && type is MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey;
        _batch.Add((rejected is null ? type : 0, seqno, offset, payload, shade));
        // What the first header said stays, and it is in the ledger.
        if ((type is MessageType.Herald || (type is MessageType.Kdh && _session.Header is { IsValid: true })) && rejected is null)
            _recorded.Add(seqno);
        if (type is MessageType.Finished && rejected is null)
            _finishes.Add(seqno);
        _run.Saw(1, (int)(rejected ?? (RejectReason)99), (long)type, (long)_session.Phase);
    }

    /// <summary>Carries out what the batch asks for, or fails at it.</summary>
    /// <param name="failure">0: all goes well; else so many leading writes are done, modulo what there are.</param>
    /// <param name="records">With a failure: so many leading records.</param>
    /// <param name="mode">Bit 0: what differs is another session's; bit 1: what is to be saved cannot be.</param>
    private void Settle(int failure, int records, int mode)
    {
        int writesDone = failure == 0 ? _session.Writes.Length : failure % (_session.Writes.Length + 1);
        int recordsDone = failure == 0 ? _session.Records.Length : writesDone < _session.Writes.Length ? 0 : Math.Min(records, _session.Records.Length);
        if (!TrySaveWithoutLength(saveFails: (mode & 6) == 6))
        {
            writesDone = recordsDone = 0;
            failure = 1;
        }

        Check(_session.Writes.Length <= MaxBatch + 1 && _session.Records.Length <= MaxBatch && _session.Compares.Length <= MaxBatch, "a batch asks for no more than it has packets");
        foreach (var write in _session.Writes[..writesDone])
            WriteDown(write);
        foreach (var record in _session.Records[..recordsDone])
        {
            var packet = _batch[record.Tag];
            _recorded.Add(packet.Seqno);
            if (record.Kind == IntentKind.Key)
                _keyPieces.Add((packet.Offset, packet.Payload));
            else if (_header is not { IsValid: true })
                _header = KernelDumpHeader.Read(packet.Payload) ?? _header;
        }

        for (int i = 0; i < _session.Compares.Length && failure == 0; i++)
        {
            var compare = _session.Compares[i];
            if (!_file.Differs(compare.Offset, compare.Offset + (ulong)compare.Length, _batch[compare.Tag].Shade))
                continue;
            _run.Enter();
            if ((mode & 1) != 0)
                _session.OnForeign(i);
            else
                _session.OnMismatch(i);
            _run.Leave();
        }

        _run.Enter();
        if (failure == 0)
            _session.OnStored(_nowUs);
        else
            _session.OnStoreFailed(writesDone, recordsDone, "disk full", _nowUs);
        _run.Leave();
        foreach (var packet in _batch)
        {
            var range = new ByteRange(packet.Offset, packet.Offset + (ulong)packet.Payload.Length);
            if (packet.Type != MessageType.Vmcore || !_covered.Contains(range.Start, range.End))
                continue;
            // A hostile client gives one seqno to several packets.
            var ranges = _stored.TryGetValue(packet.Seqno, out var known) ? known : _stored[packet.Seqno] = [];
            if (!ranges.Contains(range))
                ranges.Add(range);
        }

        _batch.Clear();
        Acknowledge(saveFails: (mode & 6) == 6);
    }

    private void WriteDown(in StoreIntent write)
    {
        ulong end = write.Offset + (ulong)write.Length;
        _covered.Write(write.Offset, end, 0);
        if (write.Tag != StoreIntent.OwnBytes)
        {
            _file.Write(write.Offset, end, _batch[write.Tag].Shade);
            return;
        }

        var bytes = _session.RelocatedBytes;
        Check(bytes.Length == write.Length, "the bytes to relocate are there");
        for (int i = 0; i < bytes.Length;)
        {
            int from = i;
            byte shade = (byte)(bytes[i] - i);
            while (i < bytes.Length && (byte)(bytes[i] - i) == shade)
                i++;
            _file.Write((ulong)from, (ulong)i, shade);
        }
    }

    /// <summary>Saves, where the session wants it, and sends acks: each must be for what the next process would know of.</summary>
    private void Acknowledge(bool saveFails)
    {
        if (_session.MustSave && _session.TryLeaveToLength(_file.End))
        {
            _saved.CopyFrom(_covered);
        }
        else if (_session.MustSave && saveFails)
        {
            _session.OnSaveFailed();
            return;
        }

        if (_session.MustSave)
            Save();
        foreach (uint seqno in _session.Acks)
        {
            bool isKnown = _recorded.Contains(seqno) || (_stored.TryGetValue(seqno, out var ranges) && ranges.Exists(range => _saved.Contains(range.Start, range.End)));
            bool isEnd = _finishes.Contains(seqno) && (_isWhole || !_sentData);
            Check(isKnown || isEnd, $"{seqno} is acked and is not stored where the next process finds it");
        }

        _run.Saw(2, FuzzRun.Bucket(_session.Acks.Length), (long)_session.Phase, _feature);
        _session.ClearAcks();
    }

    private void Save()
    {
        byte[] state = new byte[DumpSession.StateBytes];
        _run.Enter();
        _session.Save(state, _file.End);
        _run.Leave();
        _savedState = state;
        _savedRanges.AddRange(_session.UnsavedRanges);
        _savedDamage.AddRange(_session.UnsavedDamage);
        _savedOverwrites.AddRange(_session.UnsavedOverwrites);
        _saved.CopyFrom(_covered);
        _session.OnSaved(state);
        Check(_session.UnsavedRanges.IsEmpty && !_session.MustSave, "what is saved need not be saved");
    }

    /// <summary>As the collector does before the file's length says more than is stored.</summary>
    private bool TrySaveWithoutLength(bool saveFails)
    {
        if (!_session.WritesApart(_file.End))
            return true;
        if (saveFails)
            return false;

        byte[] state = new byte[DumpSession.StateBytes];
        _run.Enter();
        _session.SaveWithoutLength(state, _file.End);
        _session.OnSavedWithoutLength();
        _run.Leave();
        _savedState = state;
        return true;
    }

    /// <summary>Time passes, with the ticks that are due or with one late one; never while a batch is being stored.</summary>
    private void Wait(long us, bool ticks)
    {
        Settle(0, 0, 0);
        long until = _nowUs + us;
        int atOnce = 0;
        while (ticks && _session.WakeUs <= until)
        {
            atOnce = _session.WakeUs > _nowUs ? 0 : atOnce + 1;
            Check(atOnce < MaxTicksAtOnce, $"{atOnce} ticks at one time, in phase {_session.Phase}");
            _nowUs = Math.Max(_nowUs, _session.WakeUs);
            Tick();
        }

        _nowUs = until;
        Tick();
    }

    private void Tick()
    {
        _run.Enter();
        _session.OnTick(_nowUs);
        _run.Leave();
        Acknowledge(saveFails: false);
    }

    private void BeginCheckpoint(ReadOnlySpan<byte> order)
    {
        if (_session.Phase != SessionPhase.Receiving || order[1] % 2 == 0)
            return;
        Save();
        _checkpoint = _savedState;
        _checkpointRanges = [.. _session.CoveredRanges];
        _checkpointed.CopyFrom(_covered);
    }

    /// <summary>The process is gone with the batch it had; another one goes on.</summary>
    /// <param name="machineCrashes">The machine is, too.</param>
    /// <param name="written">So many of the batch's writes are in the file, modulo what there are.</param>
    private void Restart(bool machineCrashes, int written)
    {
        if (TrySaveWithoutLength(saveFails: false))
        {
            foreach (var write in _session.Writes[..(written % (_session.Writes.Length + 1))])
                WriteDown(write);
        }

        _batch.Clear();
        Sessions++;
        if (_session.Phase == SessionPhase.Closed)
            return;
        if (_committed || !_sentData)
        {
            _run.Enter();
            _session = _committed
                ? DumpSession.RestoreLingering(options, _isWhole, _nowUs)
                : DumpSession.RestoreHalfOpen(options, _session.HeraldSeqno, _session.HeraldPath, _nowUs);
            _run.Leave();
            // What is committed is no session's any more.
            _covered.CopyFrom(new());
            return;
        }

        byte[]? state = machineCrashes ? _checkpoint : _savedState;
        var kept = state is null ? null : DumpSession.FirstBurstOf(state);
        var saved = new SavedSession
        {
            HeraldSeqno = _session.HeraldSeqno,
            State = state,
            FileLength = machineCrashes ? 0 : _file.End,
            FirstBurst = kept is ByteRange range ? _file.Read(range) : [],
            MovedFirstBurst = kept is ByteRange { Length: var length } ? _file.Read(new(0, length)) : [],
            Ranges = machineCrashes ? _checkpointRanges : [.. _savedRanges],
            Damaged = [.. _savedDamage],
            Overwritten = [.. _savedOverwrites],
            UnverifiedEnd = machineCrashes ? _file.End : 0,
            MachineCrashed = machineCrashes,
            Header = _header,
            KeyPieces = [.. _keyPieces],
        };
        _run.Enter();
        _session = DumpSession.Restore(options, saved, _nowUs);
        _run.Leave();
        if (machineCrashes)
        {
            // The ledger begins anew with what is known for sure.
            _saved.CopyFrom(_checkpointed);
            _savedRanges.Clear();
            _savedRanges.AddRange(_checkpointRanges);
        }

        var known = Covered(_session);
        Check(!keepsPromises || (known.Contains(_saved) && (machineCrashes ? _saved : _covered).Contains(known)), "what is known after a restart is what was promised and nothing that is not there");
        _covered.CopyFrom(known);
        _saved.CopyFrom(known);
        if (machineCrashes)
        {
            Save();
            _checkpoint = _savedState;
        }

        _run.Saw(3, FuzzRun.Bucket(_session.CoveredRanges.Length), machineCrashes ? 1 : 0, _session.ExpectedCount == 0 ? 0 : 1);
    }

    private void Decide(ReadOnlySpan<byte> order)
    {
        Settle(0, 0, 0);
        _run.Enter();
        switch (order[1] % 4)
        {
            case 0 when !_session.IsKeepDecided && _session.Phase == SessionPhase.Receiving:
                _session.Keep((order[2] % 3) switch { 0 => null, 1 => 8192, _ => (ulong)order[2] << 12 }, "head:8192");
                break;
            case 1 when _session.Phase == SessionPhase.Ending:
                _committed = true;
                _isWhole = _session.Summary!.Status != DumpStatus.Incomplete;
                _session.OnCommitted(_nowUs);
                break;
            case 2 when _session.Phase == SessionPhase.Ending && order[2] % 4 == 0:
                _session.OnCommitFailed(_nowUs);
                break;
            case 3 when order[2] % 8 == 0:
                _session.End((EndReason)(order[3] % 6), null);
                break;
        }

        _run.Leave();
        Acknowledge(saveFails: false);
    }

    /// <summary>What must hold at any time.</summary>
    private void Look()
    {
        Check(_session.CoveredRanges.Length <= options.MaxRanges + MaxBatch, "stored ranges are bounded");
        Check(_session.UnsavedRanges.Length <= 2 * options.MaxRanges + MaxBatch, "ranges to save are bounded");
        Check(_session.UnsavedDamage.Length <= 2 * DumpSummary.MaxListedRanges + MaxBatch && _session.UnsavedOverwrites.Length <= 2 * DumpSummary.MaxListedRanges + MaxBatch, "notes to save are bounded");
        Check(_session.HeraldPath.Length <= options.MaxPathBytes, "the path is bounded");
        if (keepsPromises)
            Check(_session.CoveredBytes == _covered.Count, $"the session says {_session.CoveredBytes} bytes are stored, {_covered.Count} are");
        if (_session.Summary is not { } summary)
            return;

        _run.Saw(4, (long)summary.Status, (long)summary.Reason, FuzzRun.Bucket(summary.MissingRanges));
        Check(new[] { summary.Missing, summary.Damaged, summary.Overwritten, summary.Unverified }.All(list => list.Count <= DumpSummary.MaxListedRanges), "lists of a summary are bounded");
        if (!keepsPromises || summary.Status != DumpStatus.Complete)
            return;
        Check(summary.Header is { IsValid: true }, "a complete dump has a header");
        Check(_covered.Contains(0, summary.Header!.DumpLength), "a complete dump has all its bytes");
        Check(summary.Damaged.Count == 0 && summary.MissingBytes == 0, "a complete dump lacks nothing");
    }

    private void Check(bool holds, string what)
    {
        if (!holds && (keepsPromises || !what.EndsWith("process finds it", StringComparison.Ordinal)))
            throw new FuzzTarget.BrokenException(what);
    }

    private static ModelBytes Covered(DumpSession session)
    {
        var covered = new ModelBytes();
        foreach (var range in session.CoveredRanges)
            covered.Write(range.Start, range.End, 0);
        return covered;
    }
}
