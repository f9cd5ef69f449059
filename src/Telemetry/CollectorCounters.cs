using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry;

/// <summary>What the collector counted since its start; changed once per batch, read by anyone.</summary>
public sealed class CollectorCounters
{
    private readonly long[] _rejected = new long[Enum.GetValues<RejectReason>().Length];
    private long _packets;
    private long _payloadBytes;
    private long _acks;
    private long _heralds;
    private long _receiving;
    private long _complete;
    private long _notComplete;
    private long _deleted;
    private long _deletedBytes;
    private long _shortOfRoom;

    /// <summary>Messages that were used.</summary>
    public long Packets => Interlocked.Read(ref _packets);

    /// <summary>VMCORE payload bytes received, repeats included.</summary>
    public long PayloadBytes => Interlocked.Read(ref _payloadBytes);

    /// <summary>Acks sent.</summary>
    public long Acks => Interlocked.Read(ref _acks);

    /// <summary>Heralds received, repeats included.</summary>
    public long Heralds => Interlocked.Read(ref _heralds);

    /// <summary>Dumps arriving now.</summary>
    public long Receiving => Interlocked.Read(ref _receiving);

    /// <summary>Dumps that ended complete.</summary>
    public long Complete => Interlocked.Read(ref _complete);

    /// <summary>Dumps that ended in any other way.</summary>
    public long NotComplete => Interlocked.Read(ref _notComplete);

    /// <summary>Dumps that retention deleted.</summary>
    public long Deleted => Interlocked.Read(ref _deleted);

    /// <summary>Bytes that those had.</summary>
    public long DeletedBytes => Interlocked.Read(ref _deletedBytes);

    /// <summary>Times that a dump could not begin as it should for lack of room (--min-free); a waiting client tries about once a second.</summary>
    public long ShortOfRoom => Interlocked.Read(ref _shortOfRoom);

    /// <summary>Datagrams refused for <paramref name="reason"/>.</summary>
    public long Rejected(RejectReason reason) => Interlocked.Read(ref _rejected[(int)reason]);

    public void AddBatch(long packets, long payloadBytes, long acks)
    {
        Interlocked.Add(ref _packets, packets);
        Interlocked.Add(ref _payloadBytes, payloadBytes);
        Interlocked.Add(ref _acks, acks);
    }

    public void AddHerald() => Interlocked.Increment(ref _heralds);

    /// <summary>Counts a refused datagram and returns how many there are now of its kind.</summary>
    public long AddRejected(RejectReason reason) => Interlocked.Increment(ref _rejected[(int)reason]);

    public void DumpDeleted(long bytes)
    {
        Interlocked.Increment(ref _deleted);
        Interlocked.Add(ref _deletedBytes, bytes);
    }

    public void RanShortOfRoom() => Interlocked.Increment(ref _shortOfRoom);

    public void DumpStarted() => Interlocked.Increment(ref _receiving);

    /// <summary>What had started turned out to be no dump.</summary>
    public void DumpDiscarded() => Interlocked.Decrement(ref _receiving);

    public void DumpEnded(bool complete)
    {
        Interlocked.Decrement(ref _receiving);
        Interlocked.Increment(ref complete ? ref _complete : ref _notComplete);
    }
}
