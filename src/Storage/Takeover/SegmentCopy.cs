using System.Buffers;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Copies a range from one file to the same place of another, in the file system where that is able to.</summary>
internal static class SegmentCopy
{
    private const int BufferBytes = 1 << 20;

    /// <summary>Copies all of the range; why it could not, in words, or null.</summary>
    public static string? Copy(SafeFileHandle from, SafeFileHandle to, ByteRange range)
    {
        ulong at = range.Start;
        while (at < range.End && Posix.CopyRange(from, to, (long)at, (long)(range.End - at)) is > 0 and var copied)
            at += (ulong)copied;

        // What the file system did not copy, for whatever reason, is read and written, which tells what is wrong.
        return CopyThrough(from, to, range with { Start = at });
    }

    /// <summary>As <see cref="Copy"/>, through this process's memory.</summary>
    internal static string? CopyThrough(SafeFileHandle from, SafeFileHandle to, ByteRange range)
    {
        if (range.Length == 0)
            return null;

        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(range.Length, BufferBytes));
        try
        {
            for (ulong at = range.Start; at < range.End;)
            {
                var piece = buffer.AsSpan(0, (int)Math.Min((ulong)buffer.Length, range.End - at));
                int read = Posix.ReadAt(from, piece, (long)at);
                if (read <= 0)
                    return read < 0 ? $"{Errno.Words(Errno.Last)} at offset 0x{at:x}" : $"ends at offset 0x{at:x}, it had bytes up to 0x{range.End:x}";
                for (int done = 0; done < read;)
                {
                    int written = Posix.WriteAt(to, piece[done..read], (long)at + done);
                    if (written <= 0)
                        return $"{Errno.Words(written < 0 ? Errno.Last : Errno.EIO)} at offset 0x{at + (uint)done:x}";
                    done += written;
                }

                at += (uint)read;
            }

            return null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
