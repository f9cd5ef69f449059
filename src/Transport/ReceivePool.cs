using System.Runtime.InteropServices;

namespace NetdumpCollector.Transport;

/// <summary>Native memory that datagrams are received into; one per loop, shared by all its sockets.</summary>
/// <remarks>
/// Only slots that are used become resident. The first slot is always filled first, so that a quiet loop stays within the cache.
/// </remarks>
internal sealed unsafe class ReceivePool : IDisposable
{
    /// <summary>A burst of a kernel at MTU 576 is 126 packets (protocol.md, "Three kernel bugs"): the longest that one receive call should take.</summary>
    public const int SlotCount = 128;

    /// <summary>Room for the longest datagram, or for the longest train of them that UDP_GRO builds.</summary>
    public const int SlotBytes = 65536;

    // An odd number of cache lines between slots: with a power of two all packet headers would compete for the same few cache sets.
    private const int StrideBytes = SlotBytes + 33 * 64;

    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc((nuint)SlotCount * StrideBytes, 4096);

    public byte* Slot(int index) => _memory + (nint)index * StrideBytes;

    public void Dispose() => NativeMemory.AlignedFree(_memory);
}
