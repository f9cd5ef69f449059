using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What one batch of packets changes in a dump's files: written, noted and compared here, by whichever thread may wait for the device.</summary>
/// <remarks>
/// Between <see cref="Run"/> and the end of the batch the session takes no packets, so that its intents stay as they are; everything else of the session belongs to its loop.
/// </remarks>
internal sealed unsafe class BurstStore(DumpSession session)
{
    // A batch of the transport is at most 1024 datagrams, and the relocated first burst may come on top.
    private const int MaxWrites = 2048;

    [ThreadStatic]
    private static WriteSlice[]? s_slices;

    private readonly List<int> _differing = [];

    /// <summary>So many leading <see cref="DumpSession.Writes"/> are in the file.</summary>
    public int WritesDone { get; private set; }

    /// <summary>So many leading <see cref="DumpSession.Records"/> are in the ledger.</summary>
    public int RecordsDone { get; private set; }

    /// <summary>What went wrong, in words, or null.</summary>
    public string? Error { get; private set; }

    /// <summary>Indexes in <see cref="DumpSession.Compares"/> of packets that differ from what is stored.</summary>
    public IReadOnlyList<int> Differing => _differing;

    /// <summary>The batch asks for something that may wait for a device.</summary>
    public bool HasWork => session.Writes.Length + session.Records.Length + session.Compares.Length > 0;

    /// <summary>Carries out the session's intents.</summary>
    /// <param name="file">The dump.</param>
    /// <param name="datagrams">The packets that the intents' tags number.</param>
    public void Run(DumpFile file, ReadOnlySpan<Datagram> datagrams)
    {
        RecordsDone = 0;
        _differing.Clear();
        WritesDone = Write(file, datagrams, out string? error);
        Error = error;
        if (Error is null)
            Record(file, datagrams);
        if (Error is null)
            Compare(file, datagrams);
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

    private void Compare(DumpFile file, ReadOnlySpan<Datagram> datagrams)
    {
        var compares = session.Compares;
        for (int i = 0; i < compares.Length; i++)
        {
            ref readonly var compare = ref compares[i];
            if (!file.Matches(compare.Offset, datagrams[compare.Tag].Span[MessageHeader.SizeBytes..]))
                _differing.Add(i);
        }
    }
}
