using System.Runtime.CompilerServices;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What one batch of packets changes in a dump's files: written, noted, compared and judged here, by whichever thread may wait for the device.</summary>
/// <remarks>While <see cref="Run"/> runs the session is that thread's; everything around it belongs to its loop.</remarks>
internal sealed unsafe class BurstStore(DumpSession session, StormPolicy storm) : IDisposable
{
    // A batch of the transport is at most 1024 datagrams, and the relocated first burst may come on top.
    private const int MaxWrites = 2048;

    [ThreadStatic]
    private static WriteSlice[]? s_slices;

    private PanicPeek? _peek;
    private StormSlot? _slot;

    /// <summary>So many leading <see cref="DumpSession.Writes"/> are in the file.</summary>
    public int WritesDone { get; private set; }

    /// <summary>So many leading <see cref="DumpSession.Records"/> are in the ledger.</summary>
    public int RecordsDone { get; private set; }

    /// <summary>What went wrong, in words, or null.</summary>
    public string? Error { get; private set; }

    /// <summary>The first packet that differed from what is stored, or null.</summary>
    public StoreIntent? FirstDifference { get; private set; }

    /// <summary>The batch brought bytes that were not stored before.</summary>
    public bool HasAdvanced { get; private set; }

    /// <summary>Why the session's state could not be saved, in words, or null: what another process would not know of is not acked.</summary>
    public string? SaveError { get; private set; }

    /// <summary>Another node has the dump: from then on nothing is stored, and nothing may be acked.</summary>
    public bool IsSuperseded { get; private set; }

    /// <summary>What was stored cannot be put on the device: nothing after the last save counts, and this owner of a shared dump acks nothing any more. The next one begins from there.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>The batch asks for something that may wait for a device.</summary>
    public bool HasWork => session.Writes.Length + session.Records.Length + session.Compares.Length > 0 || session.MustSave;

    /// <summary>Carries out the session's intents, tells it what came of them, and saves its state when it is about to ack.</summary>
    /// <param name="file">The dump.</param>
    /// <param name="datagrams">The packets that the intents' tags number.</param>
    /// <param name="isContested">What differs from the stored bytes is another session's.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public void Run(DumpFile file, ReadOnlySpan<Datagram> datagrams, bool isContested, long nowUs)
    {
        RecordsDone = 0;
        FirstDifference = null;
        ulong before = session.CoveredBytes;
        WritesDone = 0;
        IsSuperseded = file.IsSuperseded();
        if (IsSuperseded)
            return;
        Error = session.WritesApart(file.LengthBytes) ? SaveWithoutLength(file) : null;
        if (Error is null)
        {
            WritesDone = Write(file, datagrams, out string? error);
            Error = error;
        }

        if (Error is null)
            Record(file, datagrams);
        if (Error is null)
            Compare(file, datagrams, isContested);
        if (Error is null)
        {
            session.OnStored(nowUs);
            if (!session.IsKeepDecided)
                LookForMessage(file, nowUs);
        }
        else
        {
            session.OnStoreFailed(WritesDone, RecordsDone, Error, nowUs);
        }

        HasAdvanced = session.CoveredBytes > before;
        SaveError = null;
        if (session.MustSave && (file.IsShared || !session.TryLeaveToLength(ToldLength(file))))
            Save(file);
        // Behind all that this batch waited for: whoever is the next owner has read by then what may be acked.
        IsSuperseded = file.IsSuperseded();
    }

    private int Write(DumpFile file, ReadOnlySpan<Datagram> datagrams, out string? error)
    {
        error = null;
        var writes = session.Writes;
        if (writes.IsEmpty)
            return 0;

        var slices = (s_slices ??= new WriteSlice[MaxWrites]).AsSpan(0, writes.Length);
        int count = 0;
        fixed (byte* relocated = session.RelocatedBytes)
        {
            foreach (ref readonly var write in writes)
            {
                // By policy only the first bytes of some dumps are stored.
                int length = session.StoredBytesOf(write);
                if (length == 0)
                    continue;
                byte* bytes = write.Tag == StoreIntent.OwnBytes ? relocated : datagrams[write.Tag].Data + MessageHeader.SizeBytes;
                slices[count++] = new(write.Offset, bytes, length);
            }

            int done = count == 0 ? 0 : file.Write(slices[..count], out error);
            return done == count ? writes.Length : LeadingWrites(writes, done);
        }
    }

    /// <summary>How many leading intents are done when so many of those that are stored at all are.</summary>
    private int LeadingWrites(ReadOnlySpan<StoreIntent> writes, int done)
    {
        int leading = 0;
        while (leading < writes.Length && (session.StoredBytesOf(writes[leading]) == 0 || done-- > 0))
            leading++;
        return leading;
    }

    /// <summary>Decides how much of the dump is stored where its message has no part in that: before anything of it is.</summary>
    /// <param name="headersOnly">There is no room for more than the head.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    public void DecideKeep(bool headersOnly, long nowUs)
    {
        if (session.IsKeepDecided)
            return;
        if (headersOnly && storm.Policy is not { Kind: KeepKind.Head, HeadBytes: < KeepPolicy.AutoHeadBytes })
            session.Keep((ulong)KeepPolicy.AutoHeadBytes, "min-free");
        else if (!storm.WantsMessage)
            session.Keep(storm.Decide(null, nowUs).HeadBytes, storm.Policy.Name);
    }

    /// <summary>Looks for the panic message in what is stored, and decides when it is known. A dump that ends before is stored whole.</summary>
    private void LookForMessage(DumpFile file, long nowUs)
    {
        _peek ??= new(storm.PeekMemory);
        ulong from = (ulong)_peek.NextOffset;
        if (session.ContiguousBytes > from)
            _peek.Feed(file.ReadBytes(new(from, Math.Min(session.ContiguousBytes, from + (ulong)_peek.NextBytes))));
        if (!_peek.IsOver)
            return;

        var decision = storm.Decide(_peek.Message, nowUs);
        _slot = decision.Slot;
        session.Keep(decision.HeadBytes, storm.Policy.Name);
        Dispose();
    }

    /// <summary>The dump did not come whole, or is not durable: another one with its message is to be.</summary>
    public void GiveSlotBack()
    {
        if (_slot is not null)
            storm.GiveBack(_slot);
        _slot = null;
    }

    public void Dispose()
    {
        _peek?.Dispose();
        _peek = null;
    }

    private void Record(DumpFile file, ReadOnlySpan<Datagram> datagrams)
    {
        foreach (ref readonly var record in session.Records)
        {
            var bytes = datagrams[record.Tag].Span[MessageHeader.SizeBytes..];
            bool done = record.Kind == IntentKind.Kdh
                ? file.AppendKdh(bytes, out string? error)
                : file.AppendKey(record.Offset, bytes, out error);
            Error = error;
            if (!done)
                return;
            RecordsDone++;
        }
    }

    private void Compare(DumpFile file, ReadOnlySpan<Datagram> datagrams, bool isContested)
    {
        var compares = session.Compares;
        for (int i = 0; i < compares.Length; i++)
        {
            ref readonly var compare = ref compares[i];
            bool isEqual = file.Matches(compare.Offset, datagrams[compare.Tag].Span[MessageHeader.SizeBytes..], out string? error);
            if (isEqual)
                continue;

            // The client repeats it, and with that comes the next attempt.
            Error = error;
            if (error is not null)
                return;

            FirstDifference ??= compare;
            if (isContested)
                session.OnForeign(i);
            else
                session.OnMismatch(i);
        }
    }

    /// <summary>The ranges first: what is in the ledger without being acked does no harm.</summary>
    /// <remarks>Where another node may take the dump over, its bytes are on the device before the ledger says so, and the ledger before acks leave; who owns the dump is asked last.</remarks>
    [SkipLocalsInit]
    private void Save(DumpFile file)
    {
        Span<byte> state = stackalloc byte[DumpSession.StateBytes];
        session.Save(state, ToldLength(file));
        string? error = null;
        HasFailed = file.IsShared && !file.TrySyncData(out error);
        if (!HasFailed
            && file.AppendRanges(LedgerRecordType.Stored, session.UnsavedRanges, out error)
            && file.AppendRanges(LedgerRecordType.Damaged, session.UnsavedDamage, out error)
            && file.AppendRanges(LedgerRecordType.Overwritten, session.UnsavedOverwrites, out error)
            && file.WriteState(state, out error)
            && (!file.IsShared || file.TrySyncLedger(out error)))
        {
            session.OnSaved(state);
        }
        else
        {
            HasFailed |= file.IsShared;
            session.OnSaveFailed();
        }

        SaveError = error;
    }

    /// <summary>The length that a next process may trust: of a file that misses bytes below its end, or that another machine may read before all of it is there, none.</summary>
    private static ulong ToldLength(DumpFile file) => file is { HasAllBytes: true, IsShared: false } ? file.LengthBytes : 0;

    /// <summary>Before a write after which the file's length says nothing. Returns why it could not be saved, in words, or null.</summary>
    [SkipLocalsInit]
    private string? SaveWithoutLength(DumpFile file)
    {
        Span<byte> state = stackalloc byte[DumpSession.StateBytes];
        session.SaveWithoutLength(state, file.LengthBytes);
        if (file.WriteState(state, out string? error))
            session.OnSavedWithoutLength();
        return error;
    }
}
