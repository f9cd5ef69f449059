using System.Buffers.Binary;

namespace NetdumpCollector.Protocol.Client;

/// <summary>Dump content that is a function of client and offset, so that any byte of a received dump can be checked.</summary>
/// <remarks>
/// The function is ndblast's (<c>pattern_word</c>): each tool verifies what the other sent. No 8-byte word is zero, so a hole never passes for content.
/// </remarks>
public static class SyntheticContent
{
    /// <summary>The content of client <paramref name="client"/>.</summary>
    public static ContentSource Of(uint client) => (offset, destination) => Fill(client, offset, destination);

    /// <summary>Writes the bytes of client <paramref name="client"/>'s dump from <paramref name="offset"/> on.</summary>
    public static void Fill(uint client, ulong offset, Span<byte> destination)
    {
        int skip = (int)(offset & 7);
        if (skip != 0)
        {
            Span<byte> word = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(word, Word(client, offset));
            int head = Math.Min(8 - skip, destination.Length);
            word.Slice(skip, head).CopyTo(destination);
            destination = destination[head..];
            offset += (ulong)head;
        }

        for (; destination.Length >= 8; destination = destination[8..], offset += 8)
            BinaryPrimitives.WriteUInt64LittleEndian(destination, Word(client, offset));

        if (!destination.IsEmpty)
        {
            Span<byte> word = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(word, Word(client, offset));
            word[..destination.Length].CopyTo(destination);
        }
    }

    private static ulong Word(uint client, ulong offset)
    {
        ulong x = (offset >> 3) + ((ulong)(client + 1) << 42);
        x *= 0x9e3779b97f4a7c15;
        x ^= x >> 32;
        x *= 0xd6e8feb86659fd93;
        x ^= x >> 32;
        return x | 1;
    }
}
