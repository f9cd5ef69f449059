namespace NetdumpCollector.Transport;

/// <summary>The datagrams of one delivery, and the tables that group them by source; allocated once per loop.</summary>
internal sealed class DatagramBatch
{
    public const int Capacity = 1024;

    // Four places per datagram keep probe sequences short, also when every datagram has a source of its own.
    private const int TableSize = 4 * Capacity;

    private readonly Datagram[] _datagrams = new Datagram[Capacity];
    private readonly Datagram[] _sorted = new Datagram[Capacity];
    private readonly int[] _groupOf = new int[Capacity];
    private readonly int[] _groupStart = new int[Capacity + 1];
    private readonly int[] _groupFirst = new int[Capacity];
    private readonly int[] _tableGroup = new int[TableSize];
    private readonly uint[] _tableStamp = new uint[TableSize];
    private uint _stamp;

    public int Count { get; private set; }

    public bool IsFull => Count == Capacity;

    public ReadOnlySpan<Datagram> Span => _datagrams.AsSpan(0, Count);

    public void Add(in Datagram datagram) => _datagrams[Count++] = datagram;

    public void Clear() => Count = 0;

    /// <summary>Where the datagrams that follow <paramref name="from"/> and have its source end.</summary>
    public int EndOfRun(int from)
    {
        int to = from + 1;
        while (to < Count && SameSource(_datagrams[from], _datagrams[to]))
            to++;
        return to;
    }

    /// <summary>Brings datagrams of one source and local address together; sources stay in order of first arrival, and so do the datagrams of each.</summary>
    public void GroupBySource()
    {
        if (IsOneSource())
            return;

        int groups = AssignGroups(out bool isGrouped);
        if (isGrouped)
            return;

        // Counts become positions.
        int start = 0;
        for (int group = 0; group < groups; group++)
            (_groupStart[group], start) = (start, start + _groupStart[group]);

        for (int i = 0; i < Count; i++)
            _sorted[_groupStart[_groupOf[i]]++] = _datagrams[i];
        _sorted.AsSpan(0, Count).CopyTo(_datagrams);
    }

    private bool IsOneSource()
    {
        for (int i = 1; i < Count; i++)
        {
            if (!SameSource(_datagrams[i], _datagrams[0]))
                return false;
        }
        return true;
    }

    // Numbers the sources in order of first arrival and counts the datagrams of each into _groupStart.
    private int AssignGroups(out bool isGrouped)
    {
        // Places with an older stamp are free, so that the table is cleared only when the stamp wraps.
        if (++_stamp == 0)
        {
            Array.Clear(_tableStamp);
            _stamp = 1;
        }

        int groups = 0;
        isGrouped = true;
        for (int i = 0; i < Count; i++)
        {
            int group = i > 0 && SameSource(_datagrams[i], _datagrams[i - 1]) ? _groupOf[i - 1] : FindGroup(i, ref groups);
            isGrouped &= i == 0 || group >= _groupOf[i - 1];
            _groupOf[i] = group;
            _groupStart[group]++;
        }
        return groups;
    }

    private int FindGroup(int index, ref int groups)
    {
        ref readonly Datagram datagram = ref _datagrams[index];
        // HashCode is seeded per process: nobody outside can choose addresses that collide.
        int place = HashCode.Combine(datagram.Remote.Value, datagram.Local.Value, datagram.RemotePort) & (TableSize - 1);
        while (_tableStamp[place] == _stamp)
        {
            int group = _tableGroup[place];
            if (SameSource(datagram, _datagrams[_groupFirst[group]]))
                return group;
            place = (place + 1) & (TableSize - 1);
        }

        _tableStamp[place] = _stamp;
        _tableGroup[place] = groups;
        _groupFirst[groups] = index;
        _groupStart[groups] = 0;
        return groups++;
    }

    private static bool SameSource(in Datagram left, in Datagram right) =>
        left.Remote == right.Remote && left.RemotePort == right.RemotePort && left.Local == right.Local;
}
