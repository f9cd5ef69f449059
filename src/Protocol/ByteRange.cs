namespace NetdumpCollector.Protocol;

/// <summary>Bytes <c>[Start, End)</c> of a dump.</summary>
public readonly record struct ByteRange(ulong Start, ulong End)
{
    public ulong Length => End - Start;

    public override string ToString() => $"[{Start}, {End})";
}
