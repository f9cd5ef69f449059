namespace NetdumpCollector.Storage;

/// <summary>Bytes in native memory and where they belong in the dump.</summary>
public readonly unsafe struct WriteSlice(ulong offset, byte* data, int length)
{
    public ulong Offset { get; } = offset;
    public byte* Data { get; } = data;
    public int Length { get; } = length;
}
