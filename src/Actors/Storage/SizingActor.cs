using System.Runtime.CompilerServices;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Finds out, for the running dumps of one file system, how long they will be: from the bitmap of pages at their start, read from the file.</summary>
/// <remarks>On threads that may wait, and not while the bitmap arrives: a dump that another process began has its bitmap on a cold disk, and no session waits for this.</remarks>
internal sealed class SizingActor : Actor<SizingActor.SizeDump>
{
    /// <summary>A session asks for the length of its dump; answered by <see cref="SessionActor.DumpSized"/>.</summary>
    /// <param name="File">The dump.</param>
    /// <param name="HeldBytes">So many bytes from 0 on are in the file.</param>
    /// <param name="Session">Who asks.</param>
    public sealed record SizeDump(DumpFile File, ulong HeldBytes, ActorRef<SessionActor.Message> Session);

    private const int PieceBytes = 16384;

    [SkipLocalsInit]
    protected override void Receive(SizeDump message)
    {
        Span<byte> piece = stackalloc byte[PieceBytes];
        var header = piece[..MinidumpExtent.HeaderBytes];
        var extent = message.File.TryRead(0, header) ? MinidumpExtent.Read(header) : null;
        message.Session.Tell(extent is not { } minidump ? new SessionActor.DumpSized(null, null)
            : minidump.Bitmap.End > message.HeldBytes ? new(null, minidump.Bitmap.End)
            : new(Total(message.File, minidump, piece), null));
    }

    private static ulong? Total(DumpFile file, in MinidumpExtent minidump, Span<byte> piece)
    {
        ulong pages = 0;
        for (ulong at = minidump.Bitmap.Start; at < minidump.Bitmap.End; at += (ulong)piece.Length)
        {
            piece = piece[..(int)Math.Min((ulong)piece.Length, minidump.Bitmap.End - at)];
            if (!file.TryRead(at, piece))
                return null;
            pages += MinidumpExtent.CountPages(piece);
        }

        return minidump.TotalBytes(pages);
    }
}
