using System.Buffers.Binary;

namespace NetdumpCollector.Fuzz.Tests;

/// <summary>Makes inputs out of others: bits, numbers, pieces cut, copied, moved and taken from elsewhere.</summary>
internal sealed class Mutator(Random random, FuzzTarget target)
{
    private static readonly ulong[] s_numbers =
    [
        0, 1, 2, 3, 7, 8, 15, 16, 24, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1448, 2047, 2048, 4095, 4096, 8192, 16384, 32767, 32768, 65535, 65536, 1 << 20,
        (4 << 20) + 1, int.MaxValue, 1ul << 31, uint.MaxValue - 1, uint.MaxValue, 1ul << 32, (1ul << 44) - 1, 1ul << 44, long.MaxValue, 1ul << 63, ulong.MaxValue - 65535, ulong.MaxValue - 1, ulong.MaxValue,
    ];

    private readonly byte[] _bytes = new byte[target.MaxInputBytes];
    private int _length;

    public byte[] Mutate(ReadOnlySpan<byte> parent, ReadOnlySpan<byte> other)
    {
        parent.CopyTo(_bytes);
        _length = parent.Length;
        for (int steps = 1 << random.Next(0, 4); steps > 0; steps--)
            Step(other);
        byte[] made = _bytes.AsSpan(0, _length).ToArray();
        if (random.Next(8) != 0)
            target.Repair(made);
        return made;
    }

    private void Step(ReadOnlySpan<byte> other)
    {
        switch (random.Next(10))
        {
            case 0 when _length > 0:
                _bytes[random.Next(_length)] ^= (byte)(1 << random.Next(8));
                break;
            case 1 when _length > 0:
                _bytes[random.Next(_length)] = (byte)random.Next(256);
                break;
            case 2:
                PutNumber(s_numbers[random.Next(s_numbers.Length)]);
                break;
            case 3 when _length > 0:
                _bytes[random.Next(_length)] += (byte)random.Next(-16, 17);
                break;
            case 4:
                Cut();
                break;
            case 5:
                Insert(PieceOf(_bytes.AsSpan(0, _length)).ToArray());
                break;
            case 6:
                Insert(PieceOf(other));
                break;
            case 7:
                Overwrite(PieceOf(other));
                break;
            case 8:
                byte[] noise = new byte[target.UnitBytes * random.Next(1, 9)];
                random.NextBytes(noise);
                Insert(noise);
                break;
            case 9 when target.Words.Count > 0:
                byte[] word = target.Words[random.Next(target.Words.Count)];
                if (random.Next(2) == 0)
                    Insert(word);
                else
                    Overwrite(word);
                break;
        }
    }

    private void PutNumber(ulong number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        int size = 1 << random.Next(4);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number);
        bytes = bytes[..size];
        if (random.Next(2) == 0)
            bytes.Reverse();
        Overwrite(bytes);
    }

    private void Cut()
    {
        var piece = PieceOf(_bytes.AsSpan(0, _length));
        if (piece.IsEmpty)
            return;
        int at = At(_length - piece.Length);
        _bytes.AsSpan((at + piece.Length).._length).CopyTo(_bytes.AsSpan(at));
        _length -= piece.Length;
    }

    private void Insert(ReadOnlySpan<byte> piece)
    {
        int at = At(_length);
        piece = piece[..Math.Min(piece.Length, (_bytes.Length - _length) / target.UnitBytes * target.UnitBytes)];
        _bytes.AsSpan(at, _length - at).CopyTo(_bytes.AsSpan(at + piece.Length));
        piece.CopyTo(_bytes.AsSpan(at));
        _length += piece.Length;
    }

    private void Overwrite(ReadOnlySpan<byte> piece)
    {
        int at = random.Next(_length + 1);
        piece = piece[..Math.Min(piece.Length, _length - at)];
        piece.CopyTo(_bytes.AsSpan(at));
    }

    /// <summary>Mostly a short one.</summary>
    private ReadOnlySpan<byte> PieceOf(ReadOnlySpan<byte> bytes)
    {
        int at = At(bytes.Length);
        int most = Math.Min(bytes.Length - at, target.UnitBytes << random.Next(0, 11));
        return bytes.Slice(at, random.Next(most + 1) / target.UnitBytes * target.UnitBytes);
    }

    private int At(int most) => random.Next(Math.Max(0, most) / target.UnitBytes + 1) * target.UnitBytes;
}
