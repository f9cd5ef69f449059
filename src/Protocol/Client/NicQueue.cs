namespace NetdumpCollector.Protocol.Client;

/// <summary>The transmit queue of a NIC that reads a packet's payload from the kernel's buffer only when the packet leaves.</summary>
/// <remarks>Source: protocol.md, kernel bug 2.</remarks>
internal sealed class NicQueue(long bytesPerSecond)
{
    /// <summary>A ring; its length is a power of two.</summary>
    private Entry[] _entries = new Entry[64];
    private int _head;
    private int _count;
    private long _freeUs;

    internal struct Entry
    {
        public MessageHeader Header;

        /// <summary>Where the payload starts in the kernel's buffer.</summary>
        public int BufferOffset;

        /// <summary>The buffer was rewritten under the packet: its checksum no longer fits.</summary>
        public bool IsCorrupted;

        public long LeavesUs;
    }

    /// <summary>When the next packet leaves, <see cref="long.MaxValue"/> when none waits.</summary>
    public long NextUs => _count == 0 ? long.MaxValue : _entries[_head].LeavesUs;

    public void Enqueue(in MessageHeader header, int bufferOffset, long nowUs)
    {
        if (_count == _entries.Length)
            Grow();

        long wireBytes = header.Length + KernelClientOptions.PacketOverheadBytes;
        _freeUs = Math.Max(_freeUs, nowUs) + Math.Max(1, wireBytes * 1_000_000 / bytesPerSecond);
        _entries[(_head + _count++) & (_entries.Length - 1)] = new() { Header = header, BufferOffset = bufferOffset, LeavesUs = _freeUs };
    }

    /// <summary>Takes the packet whose transmission ended by <paramref name="nowUs"/>, oldest first.</summary>
    public bool TryTake(long nowUs, out Entry entry)
    {
        entry = default;
        if (NextUs > nowUs)
            return false;

        entry = _entries[_head];
        _head = (_head + 1) & (_entries.Length - 1);
        _count--;
        return true;
    }

    /// <summary>The first <paramref name="bytes"/> bytes of the buffer are about to be rewritten.</summary>
    public void OnBufferReused(int bytes)
    {
        for (int i = 0; i < _count; i++)
        {
            ref var entry = ref _entries[(_head + i) & (_entries.Length - 1)];
            entry.IsCorrupted |= entry.Header.Length > 0 && entry.BufferOffset < bytes;
        }
    }

    /// <summary>Nothing leaves before <paramref name="untilUs"/>; what is queued keeps its order and spacing.</summary>
    public void Stall(long untilUs)
    {
        long shiftUs = untilUs - NextUs;
        if (_count == 0)
            _freeUs = Math.Max(_freeUs, untilUs);
        else if (shiftUs > 0)
        {
            for (int i = 0; i < _count; i++)
                _entries[(_head + i) & (_entries.Length - 1)].LeavesUs += shiftUs;
            _freeUs += shiftUs;
        }
    }

    public void Clear() => _count = 0;

    private void Grow()
    {
        var grown = new Entry[_entries.Length * 2];
        for (int i = 0; i < _count; i++)
            grown[i] = _entries[(_head + i) & (_entries.Length - 1)];
        _entries = grown;
        _head = 0;
    }
}
