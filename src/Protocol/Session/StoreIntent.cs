namespace NetdumpCollector.Protocol.Session;

/// <summary>Something the shell does with the bytes of one packet before the packet may be acked.</summary>
/// <param name="Tag">The packet, as the shell numbered it; <see cref="OwnBytes"/> when the session holds the bytes itself.</param>
/// <param name="Seqno">The packet's seqno.</param>
/// <param name="Offset">Where the bytes belong, in bytes from the start of the dump or key.</param>
/// <param name="Length">Number of bytes.</param>
/// <param name="Kind">What the packet is.</param>
public readonly record struct StoreIntent(int Tag, uint Seqno, ulong Offset, int Length, IntentKind Kind)
{
    /// <summary>The bytes are <see cref="DumpSession.RelocatedBytes"/>.</summary>
    public const int OwnBytes = -1;
}

/// <summary>What a packet in store is, and what follows when it is done.</summary>
public enum IntentKind : byte
{
    /// <summary>Dump bytes that count for the running burst.</summary>
    Burst,

    /// <summary>Dump bytes outside the running burst: acked as soon as stored.</summary>
    Loose,

    /// <summary>Dump bytes whose ack the client would not understand.</summary>
    Unacked,

    /// <summary>The first burst's bytes, moved to offset 0; nothing is acked for them.</summary>
    Relocation,

    /// <summary>Repeats stored bytes; acked once compared.</summary>
    RepeatToAck,

    /// <summary>Repeats stored bytes; its ack waits for the burst, or must not be sent.</summary>
    RepeatToHold,

    /// <summary>The kernel dump header.</summary>
    Kdh,

    /// <summary>A piece of the key blob.</summary>
    Key,
}
