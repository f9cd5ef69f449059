using System.Numerics;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>How long a minidump will be, told from its start: the kernel says it only in the header that ends the dump.</summary>
/// <remarks>
/// A dump is its header page, message buffer, dump_avail, page bitmap and page tables, and then one page for each bit of the bitmap that is set.
/// What the kernel compressed or encrypted does not begin like a minidump, and its length cannot be told.
/// Input is hostile: nothing is believed that no kernel writes, and nothing throws. Sans-I/O.
/// Source: FreeBSD sys/*/*/minidump_machdep.c (cpu_minidumpsys), where the length of the header is computed from the same parts.
/// </remarks>
/// <param name="Bitmap">Where in the dump the page bitmap stands.</param>
/// <param name="BytesBeforePages">Length of everything but the pages.</param>
/// <param name="PageBytes">Length of each page.</param>
public readonly record struct MinidumpExtent(ByteRange Bitmap, ulong BytesBeforePages, int PageBytes)
{
    /// <summary>So many bytes from the dump's start tell where its bitmap is.</summary>
    public const int HeaderBytes = MinidumpHeader.SizeBytes;

    /// <summary>A larger bitmap than of 32 TiB, in pages of 4 KiB, is not believed.</summary>
    public const uint MaxBitmapBytes = 1 << 30;

    /// <summary>A longer list of memory ranges is not believed; kernels have room for 64 pairs of addresses.</summary>
    public const uint MaxDumpAvailBytes = 1 << 20;

    /// <summary>Reads a dump's start; null for anything but the start of a minidump of a known machine and version, as it is.</summary>
    public static MinidumpExtent? Read(ReadOnlySpan<byte> start)
    {
        if (!MinidumpHeader.TryRead(start, out var header)
            || header.MessageBufferBytes == 0
            || header.DumpAvailBytes is not <= MaxDumpAvailBytes
            || header.BitmapBytes is 0 or > MaxBitmapBytes)
            return null;

        ulong page = (ulong)header.PageBytes;
        ulong bitmapStart = page + RoundUp(header.MessageBufferBytes, page) + RoundUp(header.DumpAvailBytes.Value, page);
        return new(
            new(bitmapStart, bitmapStart + header.BitmapBytes),
            // Page tables are not rounded up: arm's are written as they are.
            bitmapStart + RoundUp(header.BitmapBytes, page) + header.PageTableBytes,
            header.PageBytes);
    }

    /// <summary>How many pages a piece of the bitmap says are in the dump.</summary>
    public static ulong CountPages(ReadOnlySpan<byte> bitmap)
    {
        ulong pages = 0;
        var words = MemoryMarshal.Cast<byte, ulong>(bitmap);
        foreach (ulong word in words)
            pages += (ulong)BitOperations.PopCount(word);
        foreach (byte rest in bitmap[(words.Length * sizeof(ulong))..])
            pages += (ulong)BitOperations.PopCount(rest);
        return pages;
    }

    /// <summary>Length of the whole dump with so many pages.</summary>
    public ulong TotalBytes(ulong pages) => BytesBeforePages + (pages * (ulong)PageBytes);

    private static ulong RoundUp(ulong bytes, ulong unit) => (bytes + unit - 1) / unit * unit;
}
