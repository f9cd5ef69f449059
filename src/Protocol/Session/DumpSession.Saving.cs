using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace NetdumpCollector.Protocol.Session;

public sealed partial class DumpSession
{
    /// <summary>Bytes that <see cref="Save"/> writes.</summary>
    public const int StateBytes = 128 + BurstAcks.StateBytes + FirstBurst.StateBytes;

    private const byte StateVersion = 1;

    /// <summary>So much is stored at most without a new save.</summary>
    private const ulong MaxToldByLength = 16 << 20;

    // Where Advance changes them.
    private const int ContiguousAt = 3;
    private const int PacketsAt = 19;
    private const int PayloadBytesAt = 27;
    private const int AcksAt = 43;
    private const int LengthTellsAt = 103;

    /// <summary>Of the name of the policy that cuts the dump.</summary>
    private const int MaxPolicyBytes = 32;

    /// <summary>Stored since the last save and not in the run of bytes from 0 on, which is saved as one number.</summary>
    private readonly List<ByteRange> _unsaved = [];

    /// <summary>Another process had this session before; packets that it stored and did not ack are taken for new ones until one is.</summary>
    private bool _isCatchingUp;

    private ulong _unverifiedEnd;
    private bool _machineCrashed;
    private bool _isChanged;

    /// <summary>Another process would find a state.</summary>
    private bool _isSaved;

    /// <summary>Another process answered the herald; the note of that may be older than what it, or another node, has received since.</summary>
    private bool _isHeraldRemembered;

    /// <summary>What was saved last.</summary>
    private byte[] _saved = [];

    /// <summary>What was saved last says that the file's length tells what was stored since.</summary>
    private bool _lengthTells;

    /// <summary>Acks wait for what must be saved before they leave.</summary>
    public bool MustSave => _isChanged && _acks.Count > 0;

    /// <summary>The packets are a kernel's of its own, not repeats of what an older session of the host got: once bytes of them are acked, the older dump is over. Set by whoever knows of both.</summary>
    public bool SupersedesOlder { get; set; }

    /// <summary>Ranges that were stored since <see cref="OnSaved"/> and lie apart from what <see cref="Save"/> says.</summary>
    public ReadOnlySpan<ByteRange> UnsavedRanges => CollectionsMarshal.AsSpan(_unsaved);

    /// <summary>Damage that was found since <see cref="OnSaved"/>.</summary>
    public ReadOnlySpan<ByteRange> UnsavedDamage => _damaged.Unsaved;

    /// <summary>Overwritten ranges since <see cref="OnSaved"/>.</summary>
    public ReadOnlySpan<ByteRange> UnsavedOverwrites => _overwritten.Unsaved;

    /// <summary>Bytes from 0 on without a hole.</summary>
    public ulong ContiguousBytes => _coverage.Count > 0 && _coverage.Ranges[0].Start == 0 ? _coverage.Ranges[0].End : 0;

    /// <summary>Everything that is stored, as sorted ranges.</summary>
    public ReadOnlySpan<ByteRange> CoveredRanges => _coverage.Ranges;

    /// <summary>Writes down what another process needs to continue the dump: before acks leave, so that it continues with everything that was acked (see <see cref="TryLeaveToLength"/>).</summary>
    /// <remarks>Header, key and the ranges apart are records of their own (<see cref="Records"/>, <see cref="UnsavedRanges"/>, <see cref="UnsavedDamage"/>).</remarks>
    /// <param name="state">Gets <see cref="StateBytes"/> bytes.</param>
    /// <param name="fileLength">End of what was ever written to the file; 0 where it says nothing about what is stored.</param>
    public void Save(Span<byte> state, ulong fileLength = 0)
    {
        // The caller's memory may be anything, and the ledger is a file.
        state.Clear();
        var to = new StateWriter(state);
        to.Byte(StateVersion);
        to.Flag(_relocated);
        to.Flag(_firstBurst is not null);
        to.U64(ContiguousBytes);
        to.U64(_unverifiedEnd);
        to.I64(_counters.Packets);
        to.I64(_counters.PayloadBytes);
        to.I64(_counters.Retransmissions);
        to.I64(_counters.Acks + _acks.Count);
        to.I64(_counters.Rejected);
        to.Flag(_machineCrashed);
        to.Flag(IsKeepDecided);
        to.U64(_decidedBytes);
        string policy = _keepPolicy ?? "";
        to.Byte((byte)Math.Min(policy.Length, MaxPolicyBytes));
        _ = Encoding.ASCII.TryGetBytes(policy.AsSpan(0, Math.Min(policy.Length, MaxPolicyBytes)), to.Reserve(MaxPolicyBytes), out _);
        to.Flag(SupersedesOlder);
        to.Flag(LengthMayTell && fileLength > 0 && fileLength == ContiguousBytes && _coverage.Count == 1);
        to.Flag(IsContinuation);
        _bursts.Save(state[128..]);
        if (_firstBurst is not null)
            _firstBurst.Save(state[(128 + BurstAcks.StateBytes)..]);
    }

    /// <summary>Once there is a header the dump may end, and its commit cuts the file to the header's length.</summary>
    private bool LengthMayTell => _header is null;

    /// <summary>What <see cref="Save"/> wrote, and the unsaved ranges, are where another process finds them.</summary>
    public void OnSaved(ReadOnlySpan<byte> state)
    {
        if (_saved.Length == 0)
            _saved = new byte[StateBytes];
        state.CopyTo(_saved);
        _lengthTells = state[LengthTellsAt] != 0;
        MarkSaved();
    }

    /// <summary>Takes for saved what another process works out of what was saved last and of the file's length; false when that is not all it must know before <see cref="Acks"/> leave.</summary>
    /// <remarks>So it is for nearly all bursts of a dump that arrives in order. What that process works out is worked out here as well, and compared.</remarks>
    /// <param name="fileLength">End of what was ever written to the file; 0 where it says nothing about what is stored.</param>
    [SkipLocalsInit]
    public bool TryLeaveToLength(ulong fileLength)
    {
        if (!_lengthTells || !LengthMayTell || fileLength != ContiguousBytes || _coverage.Count != 1 || fileLength - ContiguousBytesOf(_saved) > MaxToldByLength
            || _unsaved.Count + _damaged.Unsaved.Length + _overwritten.Unsaved.Length > 0)
            return false;

        Span<byte> now = stackalloc byte[StateBytes], told = stackalloc byte[StateBytes];
        _saved.CopyTo(told);
        Advance(told, fileLength);
        Save(now, fileLength);
        if (!now.SequenceEqual(told))
            return false;

        _isChanged = false;
        return true;
    }

    /// <summary>The batch writes elsewhere than right behind the file's end, and its length must not be relied on from then: what <see cref="SaveWithoutLength"/> writes must be saved before.</summary>
    /// <param name="fileLength">End of what was ever written to the file.</param>
    public bool WritesApart(ulong fileLength)
    {
        if (!_lengthTells)
            return false;
        // An earlier process, or a write that failed, left more there than this one counts as stored.
        if (fileLength != ContiguousBytes)
            return Writes.Length > 0;

        foreach (ref readonly var write in Writes)
        {
            if (write.Offset != fileLength || write.Kind != IntentKind.Burst || StoredBytesOf(write) != write.Length)
                return true;
            fileLength += (ulong)write.Length;
        }

        return false;
    }

    /// <summary>Writes down what another process works out now, without the file's length for later.</summary>
    /// <param name="state">Gets <see cref="StateBytes"/> bytes.</param>
    /// <param name="fileLength">End of what was ever written to the file.</param>
    public void SaveWithoutLength(Span<byte> state, ulong fileLength)
    {
        _saved.CopyTo(state);
        Advance(state, fileLength);
        state[LengthTellsAt] = 0;
    }

    /// <summary>What <see cref="SaveWithoutLength"/> wrote is where another process finds it.</summary>
    public void OnSavedWithoutLength() => _lengthTells = false;

    private void MarkSaved()
    {
        _isChanged = false;
        _isSaved = true;
        KeptBytes = _decidedBytes;
        _unsaved.Clear();
        _damaged.OnSaved();
        _overwritten.OnSaved();
    }

    /// <summary>What could not be saved is not acked; the client sends it again, and with that comes the next attempt.</summary>
    public void OnSaveFailed() => _acks.Clear();

    /// <summary>The state can be read by this version.</summary>
    public static bool IsState(ReadOnlySpan<byte> state) => state.Length == StateBytes && state[0] == StateVersion;

    /// <summary>Where in the dump the copy of the first burst is found that <see cref="Restore"/> needs, or null when it needs none.</summary>
    public static ByteRange? FirstBurstOf(ReadOnlySpan<byte> state) =>
        state[2] == 0 ? null : FirstBurst.KeptIn(state[(128 + BurstAcks.StateBytes)..]);

    /// <summary>Bytes from 0 on that are stored without a hole, as a saved state says.</summary>
    public static ulong ContiguousBytesOf(ReadOnlySpan<byte> state)
    {
        var from = new StateReader(state[3..]);
        return from.U64();
    }

    /// <summary>Rewrites a saved state to what the file's length tells of what was stored since.</summary>
    /// <returns>Something was.</returns>
    private static bool Advance(Span<byte> state, ulong fileLength)
    {
        ulong contiguous = ContiguousBytesOf(state);
        if (state[LengthTellsAt] == 0 || fileLength <= contiguous)
            return false;

        // More is never acked without a save, so what else lengthened the file is not believed.
        ulong more = Math.Min(fileLength - contiguous, MaxToldByLength);
        var (bytes, packets, acks) = BurstAcks.Advance(state[128..], contiguous, more);
        BinaryPrimitives.WriteUInt64LittleEndian(state[ContiguousAt..], contiguous + bytes);
        Add(state[PacketsAt..], packets);
        Add(state[PayloadBytesAt..], (long)bytes);
        Add(state[AcksAt..], acks);
        return bytes > 0;
    }

    private static void Add(Span<byte> field, long more) => BinaryPrimitives.WriteInt64LittleEndian(field, BinaryPrimitives.ReadInt64LittleEndian(field) + more);

    /// <summary>Continues a dump that another process received until now.</summary>
    /// <param name="options">Times and limits.</param>
    /// <param name="saved">What that process left.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public static DumpSession Restore(SessionOptions options, SavedSession saved, long nowUs)
    {
        var session = new DumpSession(options, saved.HeraldSeqno, nowUs);
        session.Phase = SessionPhase.Receiving;
        if (saved.State?.ToArray() is { } state)
        {
            session._saved = [.. saved.State];
            session._lengthTells = state[LengthTellsAt] != 0;
            bool isFurther = Advance(state, saved.FileLength);
            var from = new StateReader(state.AsSpan(1));
            session._relocated = from.Flag();
            bool hasFirstBurst = from.Flag();
            ulong contiguous = from.U64();
            session._unverifiedEnd = from.U64();
            session._counters = new() { Packets = from.I64(), PayloadBytes = from.I64(), Retransmissions = from.I64(), Acks = from.I64(), Rejected = from.I64() };
            session._machineCrashed = from.Flag();
            session.IsKeepDecided = from.Flag();
            session._decidedBytes = from.U64();
            int policyBytes = Math.Min((int)from.Byte(), MaxPolicyBytes);
            var policy = from.Take(MaxPolicyBytes);
            session._keepPolicy = policyBytes == 0 ? null : Encoding.ASCII.GetString(policy[..policyBytes]);
            session.SupersedesOlder = from.Flag();
            _ = from.Flag();
            session.IsContinuation = from.Flag();
            session._bursts = BurstAcks.Restore(options, state.AsSpan(128));
            session._firstBurst = hasFirstBurst ? FirstBurst.Restore(state.AsSpan(128 + BurstAcks.StateBytes), saved.FirstBurst, saved.MovedFirstBurst) : null;
            session._coverage.Add(0, contiguous);
            if (isFurther || session._bursts.IsBaseGuessed)
                session._bursts.MayBeginAt(contiguous);
        }

        if (saved.MachineCrashed)
        {
            // Some of what the crash took back was acked.
            session.JoinMidway();
        }

        // Its state may not have been written, or a crash have taken it back.
        if (saved.IsContinuation && !session.IsContinuation)
        {
            session.IsContinuation = true;
            session.JoinMidway();
        }

        // Without a state nothing was acked, and the ranges may have bytes that a decision it does not know of let go.
        foreach (var range in saved.State is null ? [] : saved.Ranges)
            session._coverage.Add(range.Start, range.End);
        foreach (var range in saved.Damaged)
            session._damaged.Add(range);
        foreach (var range in saved.Overwritten)
            session._overwritten.Add(range);
        session.MarkSaved();
        session._isSaved = saved.State is not null || saved.MachineCrashed;
        session._unverifiedEnd = Math.Max(session._unverifiedEnd, saved.UnverifiedEnd);
        session._machineCrashed |= saved.MachineCrashed;
        session._header = saved.Header;
        foreach (var (offset, bytes) in saved.KeyPieces)
        {
            int end = (int)Math.Min(offset + (ulong)bytes.Length, (ulong)options.MaxKeyBytes);
            if (offset > (ulong)options.MaxKeyBytes || (int)offset + bytes.Length != end)
                continue;
            if (session._key is null || session._key.Length < end)
                Array.Resize(ref session._key, end);
            bytes.Span.CopyTo(session._key.AsSpan((int)offset));
            session._keyCoverage.Add(offset, (ulong)end);
        }

        session._isCatchingUp = true;
        return session;
    }

    /// <summary>More was acked than is known of: the client may be further on, and what comes next need not be the dump's first burst.</summary>
    private void JoinMidway()
    {
        _bursts.MayBeginLater();
        _firstBurst = null;
    }

    /// <summary>A herald that another process answered and that nothing followed yet.</summary>
    /// <param name="options">Times and limits.</param>
    /// <param name="heraldSeqno">Its <see cref="HeraldSeqno"/>.</param>
    /// <param name="path">The path it asked for.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public static DumpSession RestoreHalfOpen(SessionOptions options, uint heraldSeqno, ReadOnlySpan<byte> path, long nowUs) =>
        new(options, heraldSeqno, nowUs) { _path = path.ToArray(), _pathLength = path.Length, _isHeraldRemembered = true };

    /// <summary>A session whose dump was made durable by a process that did not live to see its FINISHED answered for long enough.</summary>
    /// <param name="options">Times and limits.</param>
    /// <param name="mayAck">The dump is whole: a repeated FINISHED is acked.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public static DumpSession RestoreLingering(SessionOptions options, bool mayAck, long nowUs)
    {
        var session = new DumpSession(options, heraldSeqno: 1, nowUs) { _durable = mayAck };
        session.Linger(nowUs);
        return session;
    }
}

/// <summary>What a process left of a session that it could not finish.</summary>
public sealed record SavedSession
{
    /// <summary>Its <see cref="DumpSession.HeraldSeqno"/>.</summary>
    public required uint HeraldSeqno { get; init; }

    /// <summary>What <see cref="DumpSession.Save"/> wrote last; null when nothing of the dump was acked yet.</summary>
    public byte[]? State { get; init; }

    /// <summary>The dump's bytes at <see cref="DumpSession.FirstBurstOf"/>.</summary>
    public byte[] FirstBurst { get; init; } = [];

    /// <summary>As many of the dump's first bytes: the burst is moved there before its place is overwritten.</summary>
    public byte[] MovedFirstBurst { get; init; } = [];

    /// <summary>The dump's file ends there; 0 when the machine has crashed since. Whether it tells what is stored, the state says.</summary>
    public ulong FileLength { get; init; }

    public IReadOnlyList<ByteRange> Ranges { get; init; } = [];
    public IReadOnlyList<ByteRange> Damaged { get; init; } = [];
    public IReadOnlyList<ByteRange> Overwritten { get; init; } = [];

    /// <summary>The machine has crashed since: what is in the file below this and not in the saved ranges is not known to be right until it comes again. 0 otherwise.</summary>
    public ulong UnverifiedEnd { get; init; }

    /// <summary>The machine has crashed since: nobody knows what else was acked and is gone.</summary>
    public bool MachineCrashed { get; init; }

    /// <summary>The dump goes on with one of another node's; see <see cref="DumpSession.Continue"/>.</summary>
    public bool IsContinuation { get; init; }

    public KernelDumpHeader? Header { get; init; }
    public IReadOnlyList<(ulong Offset, ReadOnlyMemory<byte> Bytes)> KeyPieces { get; init; } = [];
}
