using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace NetdumpCollector.Protocol.Tests.Minidump;

/// <summary>The start of minidumps as kernels of several machines write them.</summary>
internal static class SampleMinidump
{
    public const int RingBytes = 3 * 4096 - 72;

    /// <summary>Header page and message buffer; <paramref name="messages"/> stand in the ring from <paramref name="from"/> on, around its end.</summary>
    public static byte[] Amd64(string messages, int from = 0, int ringBytes = RingBytes, bool hasStruct = true) =>
        Create("amd64", messages, from, ringBytes, hasStruct);

    public static byte[] Create(string machine, string messages, int from = 0, int ringBytes = RingBytes, bool hasStruct = true, bool isBigEndian = false, int pageBytes = 4096)
    {
        int ringPages = (ringBytes + pageBytes - 1) / pageBytes * pageBytes;
        byte[] dump = new byte[pageBytes + ringPages + 4096];
        Encoding.ASCII.GetBytes("minidump FreeBSD/" + machine).CopyTo(dump, 0);
        int versionAt = machine == "powerpc64" ? 64 : 24;
        Word(versionAt, 3);
        Word(versionAt + 4, (uint)ringBytes);
        if (pageBytes == 16384)
            Word(76, 1);
        byte[] bytes = Encoding.UTF8.GetBytes(messages);
        for (int i = 0; i < bytes.Length; i++)
            dump[pageBytes + (from + i) % ringBytes] = bytes[i];
        int pointerBytes = machine is "i386" or "arm" ? 4 : 8;
        if (hasStruct)
        {
            int at = pageBytes + ringBytes + pointerBytes;
            Word(at, 0x063062);
            Word(at + 4, (uint)ringBytes);
            // The sequence has gone round some times.
            Word(at + 8, (uint)(from + bytes.Length + 5 * ringBytes));
        }

        // The next part is not empty, so that reading too far shows.
        dump.AsSpan(pageBytes + ringPages).Fill((byte)'x');
        "\npanic: beyond the message buffer\n"u8.CopyTo(dump.AsSpan(pageBytes + ringPages));
        return dump;

        void Word(int at, uint value)
        {
            if (isBigEndian)
                BinaryPrimitives.WriteUInt32BigEndian(dump.AsSpan(at), value);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(dump.AsSpan(at), value);
        }
    }

    /// <summary>Every kind of minidump that kernels have written.</summary>
    public static IReadOnlyList<MinidumpKind> Kinds { get; } =
    [
        new("amd64", 1), new("amd64", 2), new("amd64", 3, DumpAvailAt: 64),
        new("arm64", 1), new("arm64", 2, DumpAvailAt: 72), new("arm64", 3, DumpAvailAt: 72), new("arm64", 3, DumpAvailAt: 72, PageBytes: 16384),
        new("riscv", 1), new("riscv", 2, DumpAvailAt: 72),
        new("i386", 1), new("i386", 2, DumpAvailAt: 48),
        new("arm", 1), new("arm", 2, DumpAvailAt: 52),
        new("mips", 1, IsBigEndian: true), new("mips", 2, DumpAvailAt: 64, IsBigEndian: true),
        new("powerpc64", 1, IsBigEndian: true), new("powerpc64", 2, DumpAvailAt: 136, IsBigEndian: true), new("powerpc64", 2, DumpAvailAt: 136),
    ];

    /// <summary>A whole minidump: header page, parts that are each rounded up to pages, page tables, and a page for each bit of the bitmap.</summary>
    public static byte[] Whole(MinidumpKind kind, int ringBytes, ReadOnlySpan<byte> bitmap, int pageTableBytes)
    {
        var dump = new MemoryStream();
        byte[] header = new byte[kind.PageBytes];
        Encoding.ASCII.GetBytes("minidump FreeBSD/" + kind.Machine).CopyTo(header, 0);
        int versionAt = kind.Machine == "powerpc64" ? 64 : 24;
        int dumpAvailBytes = kind.DumpAvailAt is null ? 0 : 130 * sizeof(ulong);
        uint[] words = [(uint)kind.Version, (uint)ringBytes, (uint)bitmap.Length, (uint)pageTableBytes];
        for (int i = 0; i < words.Length; i++)
            Word(versionAt + (i * sizeof(uint)), words[i]);
        if (kind.DumpAvailAt is int at)
            Word(at, (uint)dumpAvailBytes);
        if (kind.PageBytes == 16384)
            Word(76, 1);
        dump.Write(header);
        Part(ringBytes);
        Part(dumpAvailBytes);
        dump.Write(bitmap);
        // What follows the bitmap in its last page is not part of it.
        Fill((kind.PageBytes - (bitmap.Length % kind.PageBytes)) % kind.PageBytes);
        Fill(pageTableBytes);
        foreach (byte eight in bitmap)
        {
            for (int bit = 0; bit < 8; bit++)
                Fill((eight >> bit & 1) * kind.PageBytes);
        }

        return dump.ToArray();

        void Word(int offset, uint value)
        {
            if (kind.IsBigEndian)
                BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(offset), value);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(offset), value);
        }

        void Part(int bytes) => Fill((bytes + kind.PageBytes - 1) / kind.PageBytes * kind.PageBytes);

        void Fill(int bytes)
        {
            byte[] filling = new byte[bytes];
            filling.AsSpan().Fill(0xff);
            dump.Write(filling);
        }
    }

    public static byte[] Gzip(ReadOnlySpan<byte> content)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest))
            gzip.Write(content);
        return packed.ToArray();
    }

    /// <summary>A frame of blocks that are stored as they are.</summary>
    /// <remarks>Source: RFC 8878, sections 3.1.1.1 and 3.1.1.2.</remarks>
    public static byte[] Zstd(ReadOnlySpan<byte> content)
    {
        using var packed = new MemoryStream();
        packed.Write([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
        for (int at = 0; at < content.Length;)
        {
            int size = Math.Min(65536, content.Length - at);
            int header = (size << 3) | (at + size == content.Length ? 1 : 0);
            packed.Write([(byte)header, (byte)(header >> 8), (byte)(header >> 16)]);
            packed.Write(content.Slice(at, size));
            at += size;
        }

        return packed.ToArray();
    }
}

/// <summary>One machine's minidump in one version.</summary>
/// <param name="Machine">As in the magic.</param>
/// <param name="Version">Of the header.</param>
/// <param name="DumpAvailAt">Where in the header the size of dump_avail stands; null for versions without one.</param>
/// <param name="PageBytes">The host's page.</param>
/// <param name="IsBigEndian">The host's byte order.</param>
internal sealed record MinidumpKind(string Machine, int Version, int? DumpAvailAt = null, int PageBytes = 4096, bool IsBigEndian = false);
