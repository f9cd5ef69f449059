namespace NetdumpCollector.Protocol.Session;

/// <summary>One bit for each of the newest <see cref="Size"/> seqnos; older ones read as unset. Seqnos wrap at 2^32.</summary>
internal sealed class SeqnoWindow(uint first)
{
    public const int Size = 4096;

    private readonly ulong[] _bits = new ulong[Size / 64];
    private uint _top = first;

    public bool Test(uint seqno) =>
        _top - 1 - seqno < Size && (_bits[seqno % Size / 64] & (1ul << (int)(seqno % 64))) != 0;

    public void Set(uint seqno)
    {
        if ((int)(seqno - _top) >= 0)
            Advance(seqno + 1);
        else if (_top - 1 - seqno >= Size)
            return;
        _bits[seqno % Size / 64] |= 1ul << (int)(seqno % 64);
    }

    public void Unset(uint seqno)
    {
        if (_top - 1 - seqno < Size)
            _bits[seqno % Size / 64] &= ~(1ul << (int)(seqno % 64));
    }

    public void Clear() => Array.Clear(_bits);

    /// <summary>The slots of seqnos from the old top up to the new one last stood for seqnos that are now too old.</summary>
    private void Advance(uint top)
    {
        if (top - _top >= Size)
            Clear();
        else
            for (uint s = _top; s != top; s++)
                _bits[s % Size / 64] &= ~(1ul << (int)(s % 64));
        _top = top;
    }
}
