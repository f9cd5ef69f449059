using System.Runtime.CompilerServices;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What one batch of packets changes in a dump's files: written, noted, compared and judged here, by whichever thread may wait for the device.</summary>
/// <remarks>While <see cref="Run"/> runs the session is that thread's; everything around it belongs to its loop.</remarks>
internal sealed unsafe class BurstStore(DumpSession session)
{
    // A batch of the transport is at most 1024 datagrams, and the relocated first burst may come on top.
    private const int MaxWrites = 2048;

    [ThreadStatic]
    private static WriteSlice[]? s_slices;

    /// <summary>So many leading <see cref="DumpSession.Writes"/> are in the file.</summary>
    public int WritesDone { get; private set; }

    /// <summary>So many leading <see cref="DumpSession.Records"/> are in the ledger.</summary>
    public int RecordsDone { get; private set; }

    /// <summary>What went wrong, in words, or null.</summary>
    public string? Error { get; private set; }

    /// <summary>The first packet that differed from what is stored, or null.</summary>
    public StoreIntent? FirstDifference { get; private set; }

    /// <summary>Why the session's state could not be saved, in words, or null: a restart of the server would lose what follows.</summary>
    public string? SaveError { get; private set; }

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
        WritesDone = Write(file, datagrams, out string? error);
        Error = error;
        if (Error is null)
            Record(file, datagrams);
        if (Error is null)
        {
            Compare(file, datagrams, isContested);
            session.OnStored(nowUs);
        }
        else
        {
            session.OnStoreFailed(WritesDone, RecordsDone, Error, nowUs);
        }

        SaveError = null;
        if (session.MustSave)
            Save(file);
    }

    private int Write(DumpFile file, ReadOnlySpan<Datagram> datagrams, out string? error)
    {
        error = null;
        var writes = session.Writes;
        if (writes.IsEmpty)
            return 0;

        var slices = (s_slices ??= new WriteSlice[MaxWrites]).AsSpan(0, writes.Length);
        fixed (byte* relocated = session.RelocatedBytes)
        {
            for (int i = 0; i < writes.Length; i++)
            {
                ref readonly var write = ref writes[i];
                byte* bytes = write.Tag == StoreIntent.OwnBytes ? relocated : datagrams[write.Tag].Data + MessageHeader.SizeBytes;
                slices[i] = new(write.Offset, bytes, write.Length);
            }

            return file.Write(slices, out error);
        }
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
            if (file.Matches(compare.Offset, datagrams[compare.Tag].Span[MessageHeader.SizeBytes..]))
                continue;

            FirstDifference ??= compare;
            if (isContested)
                session.OnForeign(i);
            else
                session.OnMismatch(i);
        }
    }

    /// <summary>The ranges first: what is in the ledger without being acked does no harm.</summary>
    [SkipLocalsInit]
    private void Save(DumpFile file)
    {
        Span<byte> state = stackalloc byte[DumpSession.StateBytes];
        session.Save(state);
        if (file.AppendRanges(LedgerRecordType.Stored, session.UnsavedRanges, out string? error)
            && file.AppendRanges(LedgerRecordType.Damaged, session.UnsavedDamage, out error)
            && file.AppendRanges(LedgerRecordType.Overwritten, session.UnsavedOverwrites, out error)
            && file.WriteState(state, out error))
            session.OnSaved();
        SaveError = error;
    }
}
