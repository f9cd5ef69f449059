namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>One packet of a burst as the wire shows it.</summary>
internal readonly record struct BurstPacket(uint Seqno, ulong Offset, int Length);

/// <summary>What a kernel sends back to back: one buffer cut into packets (protocol.md, "Rhythm").</summary>
/// <param name="First">Seqno of packet 0.</param>
/// <param name="Offset">Where the buffer belongs in the dump.</param>
/// <param name="Bytes">Bytes of the buffer.</param>
/// <param name="Payload">Bytes of a full packet.</param>
internal sealed record Burst(uint First, ulong Offset, int Bytes, int Payload)
{
    /// <summary>A whole buffer of 64 KiB in the middle of a dump.</summary>
    public static Burst Whole(int payload, uint first = 100) => new(first, 1 << 20, WellKnown.BurstBytes, payload);

    public int Count => (Bytes + Payload - 1) / Payload;

    public BurstPacket this[int index] =>
        new(First + (uint)index, Offset + (ulong)(index * Payload), Math.Min(Payload, Bytes - index * Payload));

    public Burst Next(int bytes = WellKnown.BurstBytes) => new(First + (uint)Count, Offset + (ulong)Bytes, bytes, Payload);

    public IEnumerable<int> All => Enumerable.Range(0, Count);

    public uint[] Seqnos(IEnumerable<int> indices) => [.. indices.Select(index => First + (uint)index)];

    public override string ToString() => $"{Count} packets of {Payload} bytes from seqno {First}";
}
