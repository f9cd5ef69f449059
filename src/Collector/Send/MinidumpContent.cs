using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Collector.Send;

/// <summary>A made-up amd64 minidump of any size: header page, message buffer with the panic, dump_avail, page bitmap, one page of page tables, then pages of pattern.</summary>
/// <remarks>
/// Nothing of it is kept in memory but the first pages, so that thousands of large dumps can be sent at once.
/// The pattern is <see cref="SyntheticContent"/> of the client, at the offsets of the file.
/// Source: protocol.md, section 5; FreeBSD sys/amd64/include/minidump.h.
/// </remarks>
internal sealed class MinidumpContent
{
    public const string Magic = "minidump FreeBSD/amd64";
    public const int HeaderVersion = 3;
    public const int MessageBufferBytes = 16 * WellKnown.PageBytes;

    private const ulong KernelBase = 0xfffffe0000000000;
    private const ulong DirectMapBase = 0xfffff80000000000;
    private const ulong DirectMapEnd = 0xfffffc0000000000;
    private const int PageTableBytes = WellKnown.PageBytes;

    private readonly uint _client;
    private readonly byte[] _head;
    private readonly long _dumpedPages;
    private readonly long _bitmapEnd;
    private readonly long _pagesStart;

    /// <param name="sizeBytes">Whole file; where it is too small for all parts, it is cut.</param>
    /// <param name="client">Makes the content differ from that of other clients.</param>
    /// <param name="hostname">Goes into the message buffer.</param>
    /// <param name="panic">Goes into the message buffer.</param>
    public MinidumpContent(long sizeBytes, uint client, string hostname, string panic)
    {
        _client = client;
        // Memory has as many pages as the file; the first of them are the dumped ones.
        long memoryPages = (sizeBytes + WellKnown.PageBytes - 1) / WellKnown.PageBytes;
        long bitmapBytes = RoundUp((memoryPages + 7) / 8, 8);
        int bitmapStart = WellKnown.PageBytes + MessageBufferBytes + WellKnown.PageBytes;
        _bitmapEnd = bitmapStart + RoundUp(bitmapBytes, WellKnown.PageBytes);
        _pagesStart = _bitmapEnd + PageTableBytes;
        _dumpedPages = Math.Max(0, (sizeBytes - _pagesStart) / WellKnown.PageBytes);

        _head = new byte[bitmapStart];
        WriteHeader(_head, (uint)bitmapBytes);
        Encoding.UTF8.GetBytes(MessagesOf(client, hostname, panic)).CopyTo(_head.AsSpan(WellKnown.PageBytes));
        // One range of physical memory, then the pair of zeros that ends the list.
        BinaryPrimitives.WriteUInt64LittleEndian(_head.AsSpan(bitmapStart - WellKnown.PageBytes + 8), (ulong)(memoryPages * WellKnown.PageBytes));
    }

    /// <summary>Fills <paramref name="destination"/> with the bytes from <paramref name="offset"/> on.</summary>
    public void Fill(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            long at = (long)offset;
            long partEnd = at < _head.Length ? _head.Length : at < _bitmapEnd ? _bitmapEnd : at < _pagesStart ? _pagesStart : long.MaxValue;
            var part = destination[..(int)Math.Min(destination.Length, partEnd - at)];
            if (at < _head.Length)
                _head.AsSpan((int)at, part.Length).CopyTo(part);
            else if (at < _bitmapEnd)
                FillBitmap(at - _head.Length, part);
            else if (at < _pagesStart)
                part.Clear();
            else
                SyntheticContent.Fill(_client, offset, part);

            offset += (ulong)part.Length;
            destination = destination[part.Length..];
        }
    }

    private static void WriteHeader(Span<byte> page, uint bitmapBytes)
    {
        Encoding.ASCII.GetBytes(Magic, page);
        BinaryPrimitives.WriteUInt32LittleEndian(page[24..], HeaderVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(page[28..], MessageBufferBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(page[32..], bitmapBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(page[36..], PageTableBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(page[40..], KernelBase);
        BinaryPrimitives.WriteUInt64LittleEndian(page[48..], DirectMapBase);
        BinaryPrimitives.WriteUInt64LittleEndian(page[56..], DirectMapEnd);
        BinaryPrimitives.WriteUInt32LittleEndian(page[64..], WellKnown.PageBytes);
    }

    private static string MessagesOf(uint client, string hostname, string panic) => string.Create(CultureInfo.InvariantCulture, $"""
        ---<<BOOT>>---
        netdump-collector fire drill, client {client}, host {hostname}: not a real kernel
        panic: {panic}
        cpuid = 0
        KDB: stack backtrace:
        #0 fire_drill() at fire_drill+0x0/client {client}
        Uptime: 1s
        Dumping to a netdump server:

        """);

    /// <summary>Bit n is page n; the dumped ones are the first.</summary>
    private void FillBitmap(long at, Span<byte> part)
    {
        for (int i = 0; i < part.Length; i++)
        {
            int bits = (int)Math.Clamp(_dumpedPages - (at + i) * 8, 0, 8);
            part[i] = (byte)((1 << bits) - 1);
        }
    }

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;
}
