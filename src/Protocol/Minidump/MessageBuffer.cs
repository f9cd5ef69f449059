using System.Buffers;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>The ring of kernel messages as a dump holds it: raw bytes, and behind them, where the pages leave room, the kernel's <c>struct msgbuf</c>.</summary>
/// <remarks>
/// The kernel places the struct right behind the ring in the same pages, and writes whole pages to the dump, so that the ring's write position is known.
/// Messages of before a warm reboot are still in the ring: only the newest panic is this dump's.
/// Source: FreeBSD sys/sys/msgbuf.h, sys/kern/subr_msgbuf.c, sys/kern/subr_prf.c (msgbufinit).
/// </remarks>
internal static class MessageBuffer
{
    /// <summary>Longer messages are cut.</summary>
    public const int MaxMessageBytes = 256;

    private const uint Magic = 0x063062;
    private const int MaxPrefixBytes = 40;

    /// <summary>So many places that look like a panic and are none are passed; no kernel writes that many.</summary>
    private const int MaxCandidates = 4096;

    private static readonly SearchValues<byte> s_prefix = SearchValues.Create("<>[]. 0123456789"u8);

    /// <summary>Finds the text of the newest line "panic: …"; null when there is none.</summary>
    /// <param name="pages">The ring and what follows it in its last page.</param>
    /// <param name="ringBytes">Size of the ring.</param>
    /// <param name="isBigEndian">The host's integers are big-endian.</param>
    /// <param name="scratch">Room for <paramref name="ringBytes"/> + <see cref="MaxMessageBytes"/> bytes.</param>
    public static string? FindPanic(ReadOnlySpan<byte> pages, int ringBytes, bool isBigEndian, Span<byte> scratch)
    {
        var ring = pages[..ringBytes];
        int? written = FindWritePosition(pages[ringBytes..], ringBytes, isBigEndian);
        int seam = written ?? 0;
        ring[seam..].CopyTo(scratch);
        ring[..seam].CopyTo(scratch[(ringBytes - seam)..]);
        int length = ringBytes;
        if (written is null)
        {
            // Where the oldest byte is, is not known: a line may go on from the end of the ring to its start.
            int again = Math.Min(MaxMessageBytes, ringBytes);
            ring[..again].CopyTo(scratch[ringBytes..]);
            length += again;
        }

        // What begins behind the ring's end is the copy of its start, and may be cut.
        return FindLastPanic(scratch[..length], ringBytes);
    }

    /// <summary>Where in the ring the next message would go, which is where the oldest one is; null when the struct is not there.</summary>
    private static int? FindWritePosition(ReadOnlySpan<byte> tail, int ringBytes, bool isBigEndian)
    {
        // The magic stands behind a pointer of the host: 8 or 4 bytes.
        foreach (int at in (ReadOnlySpan<int>)[8, 4])
        {
            if (tail.Length >= at + 12
                && MinidumpHeader.Read(tail[at..], isBigEndian) == Magic
                && MinidumpHeader.Read(tail[(at + 4)..], isBigEndian) == (uint)ringBytes)
                return (int)(MinidumpHeader.Read(tail[(at + 8)..], isBigEndian) % (uint)ringBytes);
        }

        return null;
    }

    private static string? FindLastPanic(ReadOnlySpan<byte> messages, int ringBytes)
    {
        int end = Math.Min(messages.Length, ringBytes + "panic: ".Length - 1);
        for (int candidates = 0; candidates < MaxCandidates; candidates++)
        {
            int at = messages[..end].LastIndexOf("panic: "u8);
            if (at < 0)
                return null;
            if (!StartsLine(messages[..at]))
            {
                end = at;
                continue;
            }

            var text = messages[(at + "panic: ".Length)..];
            text = text[..Math.Min(text.Length, MaxMessageBytes)];
            int lineEnd = text.IndexOfAny((byte)'\n', (byte)'\r', (byte)0);
            text = (lineEnd < 0 ? text : text[..lineEnd]).Trim((byte)' ');
            return text.IsEmpty ? null : PrintableText.From(text);
        }

        return null;
    }

    /// <summary>Only a priority <c>&lt;N&gt;</c> or a time <c>[N.N]</c>, as the kernel puts them before its lines, stands between <paramref name="before"/>'s end and the start of its last line.</summary>
    private static bool StartsLine(ReadOnlySpan<byte> before)
    {
        before = before[Math.Max(0, before.Length - MaxPrefixBytes)..];
        int lineStart = before.LastIndexOfAny((byte)'\n', (byte)'\r', (byte)0) + 1;
        bool startIsSeen = lineStart > 0 || before.Length < MaxPrefixBytes;
        return startIsSeen && !before[lineStart..].ContainsAnyExcept(s_prefix);
    }
}
