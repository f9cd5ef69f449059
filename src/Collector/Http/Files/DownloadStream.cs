using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http.Files;

/// <summary>A dump's file as it is sent: read piece by piece by the request's own thread, so that neither its length nor a device that hangs matters to anybody else.</summary>
/// <param name="file">The file; the stream's from here on.</param>
/// <param name="place">Whose thread reads.</param>
internal sealed class DownloadStream(StoredFile file, BlockingWork.Place place) : Stream
{
    private const int PieceBytes = 256 << 10;

    private byte[]? _piece;
    private int _pieceBytes;
    private int _taken;
    private long _position;

    /// <summary>Bytes that have been handed over.</summary>
    public long SentBytes { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => file.LengthBytes;

    public override long Position
    {
        get => _position;
        set
        {
            _position = value;
            _taken = _pieceBytes = 0;
        }
    }

    /// <exception cref="EndOfStreamException">The file has become shorter than was announced.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_taken == _pieceBytes)
        {
            long left = Length - _position;
            if (left <= 0)
                return 0;
            byte[] piece = _piece ??= GC.AllocateUninitializedArray<byte>(PieceBytes);
            long offset = _position;
            int wanted = (int)Math.Min(left, PieceBytes);
            // Who waits no longer leaves the piece to the thread that reads it.
            _piece = null;
            int read = await place.RunAsync(() => RandomAccess.Read(file.Handle, piece.AsSpan(0, wanted), offset)).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (read == 0)
                throw new EndOfStreamException($"{file.Name} ends after {offset} of {Length} bytes");
            (_piece, _pieceBytes, _taken) = (piece, read, 0);
        }

        int count = Math.Min(buffer.Length, _pieceBytes - _taken);
        _piece.AsMemory(_taken, count).CopyTo(buffer);
        _taken += count;
        _position += count;
        SentBytes += count;
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => _position + offset,
        _ => Length + offset,
    };

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        // The system closes it when a read that still hangs has come back.
        if (disposing)
            file.Dispose();
        base.Dispose(disposing);
    }
}
