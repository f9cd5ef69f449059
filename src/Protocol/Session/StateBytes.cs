using System.Buffers.Binary;

namespace NetdumpCollector.Protocol.Session;

/// <summary>Writes the fields of a saved state one after the other, little-endian.</summary>
internal ref struct StateWriter(Span<byte> bytes)
{
    private readonly Span<byte> _bytes = bytes;
    private int _at;

    public void Flag(bool value) => _bytes[_at++] = value ? (byte)1 : (byte)0;

    public void Byte(byte value) => _bytes[_at++] = value;

    public void U32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes[_at..], value);
        _at += sizeof(uint);
    }

    public void I32(int value) => U32((uint)value);

    public void U64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes[_at..], value);
        _at += sizeof(ulong);
    }

    public void I64(long value) => U64((ulong)value);

    /// <summary>The next bytes, cleared, for the caller to fill.</summary>
    public Span<byte> Reserve(int length)
    {
        var reserved = _bytes.Slice(_at, length);
        reserved.Clear();
        _at += length;
        return reserved;
    }
}

/// <summary>Reads what <see cref="StateWriter"/> wrote.</summary>
internal ref struct StateReader(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;
    private int _at;

    public bool Flag() => _bytes[_at++] != 0;

    public byte Byte() => _bytes[_at++];

    public uint U32()
    {
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(_bytes[_at..]);
        _at += sizeof(uint);
        return value;
    }

    public int I32() => (int)U32();

    public ulong U64()
    {
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(_bytes[_at..]);
        _at += sizeof(ulong);
        return value;
    }

    public long I64() => (long)U64();

    public ReadOnlySpan<byte> Take(int length)
    {
        var taken = _bytes.Slice(_at, length);
        _at += length;
        return taken;
    }
}
