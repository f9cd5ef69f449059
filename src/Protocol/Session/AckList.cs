namespace NetdumpCollector.Protocol.Session;

/// <summary>Seqnos ready to be acked; grows to the largest burst once and is then reused.</summary>
internal sealed class AckList
{
    private uint[] _seqnos = new uint[64];

    public int Count { get; private set; }

    public ReadOnlySpan<uint> Seqnos => _seqnos.AsSpan(0, Count);

    public void Add(uint seqno)
    {
        if (Count == _seqnos.Length)
            Array.Resize(ref _seqnos, Count * 2);
        _seqnos[Count++] = seqno;
    }

    public void Clear() => Count = 0;
}
