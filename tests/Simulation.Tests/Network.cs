namespace NetdumpCollector.Simulation.Tests;

/// <summary>A datagram or an ack under way.</summary>
internal struct Transit
{
    public long ArrivesUs;

    /// <summary>Ties are broken by the order of sending.</summary>
    public long Order;

    public ushort Port;

    /// <summary>The datagram, null for an ack.</summary>
    public byte[]? Datagram;

    public int Length;

    /// <summary>Which transmission of its packet it is, from 1.</summary>
    public int Transmission;

    public uint AckSeqno;
}

/// <summary>Everything that is under way, earliest arrival first.</summary>
internal sealed class Network
{
    private Transit[] _heap = new Transit[256];
    private int _count;
    private long _order;

    public long NextUs => _count == 0 ? long.MaxValue : _heap[0].ArrivesUs;

    public void Add(Transit transit)
    {
        if (_count == _heap.Length)
            Array.Resize(ref _heap, _count * 2);
        transit.Order = _order++;
        int at = _count++;
        for (int parent = (at - 1) / 2; at > 0 && IsEarlier(transit, _heap[parent]); parent = (at - 1) / 2)
        {
            _heap[at] = _heap[parent];
            at = parent;
        }

        _heap[at] = transit;
    }

    public Transit Take()
    {
        var first = _heap[0];
        var last = _heap[--_count];
        _heap[_count] = default;
        int at = 0;
        for (int child = 1; child < _count; child = 2 * at + 1)
        {
            if (child + 1 < _count && IsEarlier(_heap[child + 1], _heap[child]))
                child++;
            if (!IsEarlier(_heap[child], last))
                break;
            _heap[at] = _heap[child];
            at = child;
        }

        if (_count > 0)
            _heap[at] = last;
        return first;
    }

    private static bool IsEarlier(in Transit left, in Transit right) =>
        left.ArrivesUs != right.ArrivesUs ? left.ArrivesUs < right.ArrivesUs : left.Order < right.Order;
}
