using System.IO.Compression;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>Decodes gzip in pieces.</summary>
/// <remarks>A <see cref="GZipStream"/> that finds nothing to read says 0 and goes on when there is more.</remarks>
internal sealed unsafe class GzipDecoder : StreamDecoder
{
    /// <summary>What zlib and the stream around it need, whatever they decode: window, tables, and 8 KiB of input.</summary>
    public const int StateBytes = 65536;

    private readonly Source _source = new();
    private readonly GZipStream _gzip;

    public GzipDecoder() => _gzip = new(_source, CompressionMode.Decompress);

    public override void Supply(byte* bytes, int count) => _source.Supply(bytes, count);

    public override int Read(Span<byte> destination) => _gzip.Read(destination);

    public override long MemoryBytes => 0;

    public override void Dispose() => _gzip.Dispose();

    /// <summary>The bytes that are lent at the moment, as a stream.</summary>
    private sealed class Source : Stream
    {
        private byte* _next;
        private int _left;

        public void Supply(byte* bytes, int count)
        {
            _next = bytes;
            _left = count;
        }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            int count = Math.Min(buffer.Length, _left);
            new ReadOnlySpan<byte>(_next, count).CopyTo(buffer);
            _next += count;
            _left -= count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
