using System.Buffers;
using System.IO.Compression;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What is done to dumps on their way that are not compressed yet.</summary>
public enum StoreCompression
{
    None,
    Gzip,
    Zstd,
}

/// <summary>What dumps are encrypted with on their way.</summary>
public enum StoreEncryption
{
    None,

    /// <summary>See <see cref="SealHeader"/> and <see cref="ChunkSealer"/>.</summary>
    Aes256Gcm,
}

/// <summary>Compresses blocks, each into a gzip member or zstd frame of its own: behind each other they are one file that gzip(1) and zstd(1) read.</summary>
/// <remarks>The same block always becomes the same bytes, which is what resuming an upload rests on. Source: RFC 1952, section 2.2; RFC 8878, section 3.</remarks>
internal abstract class BlockCompressor : IDisposable
{
    /// <summary>Null for <see cref="StoreCompression.None"/>.</summary>
    /// <exception cref="StorageException">The system's library is missing.</exception>
    public static BlockCompressor? Create(StoreCompression compression) => compression switch
    {
        StoreCompression.Gzip => new GzipBlocks(),
        StoreCompression.Zstd => ZstdBlocks.Load(),
        _ => null,
    };

    public abstract void Compress(ReadOnlySpan<byte> block, ArrayBufferWriter<byte> output);

    public virtual void Dispose()
    {
    }

    private sealed class GzipBlocks : BlockCompressor
    {
        public override void Compress(ReadOnlySpan<byte> block, ArrayBufferWriter<byte> output)
        {
            using var compressed = new MemoryStream();
            using (var gzip = new GZipStream(compressed, CompressionLevel.Fastest, leaveOpen: true))
                gzip.Write(block);
            output.Write(compressed.GetBuffer().AsSpan(0, (int)compressed.Length));
        }
    }
}

/// <summary>zstd by the system's libzstd.</summary>
/// <remarks>Source: zstd.h of libzstd 1.4 and later, "Simple API" and "Explicit context", which are stable.</remarks>
internal sealed unsafe class ZstdBlocks : BlockCompressor
{
    /// <summary>zstd's own default: about 500 MB/s of one processor.</summary>
    private const int Level = 3;

    private readonly nint _context;
    private readonly delegate* unmanaged<nint, nuint> _free;
    private readonly delegate* unmanaged<nuint, nuint> _bound;
    private readonly delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint> _compress;
    private readonly delegate* unmanaged<nuint, uint> _isError;

    private ZstdBlocks(nint library)
    {
        _free = (delegate* unmanaged<nint, nuint>)NativeLibrary.GetExport(library, "ZSTD_freeCCtx");
        _bound = (delegate* unmanaged<nuint, nuint>)NativeLibrary.GetExport(library, "ZSTD_compressBound");
        _compress = (delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint>)NativeLibrary.GetExport(library, "ZSTD_compressCCtx");
        _isError = (delegate* unmanaged<nuint, uint>)NativeLibrary.GetExport(library, "ZSTD_isError");
        _context = ((delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "ZSTD_createCCtx"))();
        if (_context == 0)
            throw new StorageException("libzstd has no memory");
    }

    /// <exception cref="StorageException">There is no such library.</exception>
    public static ZstdBlocks Load() => NativeLibrary.TryLoad("libzstd.so.1", out nint library) || NativeLibrary.TryLoad("libzstd.1.dylib", out library)
        ? new(library)
        : throw new StorageException("libzstd.so.1 is not there, and --store-compress zstd needs it; install Debian's libzstd1, or use --store-compress gzip");

    public override void Compress(ReadOnlySpan<byte> block, ArrayBufferWriter<byte> output)
    {
        nuint bound = _bound((nuint)block.Length);
        var room = output.GetSpan(checked((int)bound));
        fixed (byte* source = block, target = room)
        {
            nuint written = _compress(_context, target, (nuint)room.Length, source, (nuint)block.Length, Level);
            if (_isError(written) != 0)
                throw new StorageException("libzstd cannot compress");
            output.Advance((int)written);
        }
    }

    public override void Dispose()
    {
        _ = _free(_context);
        base.Dispose();
    }
}

/// <summary>Reads what <see cref="BlockCompressor"/> wrote.</summary>
internal static class StoreDecompression
{
    /// <exception cref="StorageException">The system's library is missing.</exception>
    public static Stream Open(StoreCompression compression, Stream compressed) => compression switch
    {
        StoreCompression.Gzip => new GZipStream(compressed, CompressionMode.Decompress),
        StoreCompression.Zstd => new ZstdStream(compressed),
        _ => compressed,
    };

    /// <summary>zstd frames behind each other, decoded as they are read.</summary>
    private sealed unsafe class ZstdStream(Stream compressed) : Stream
    {
        private const int InputBytes = 256 << 10;

        private readonly ZstdDecoder _decoder = ZstdDecoder.Create()
            ?? throw new StorageException("libzstd.so.1 is not there, and this dump is stored with zstd; install Debian's libzstd1");

        private readonly byte* _input = (byte*)NativeMemory.Alloc(InputBytes);
        private bool _disposed;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            while (true)
            {
                if (_decoder.Read(buffer) is > 0 and var decoded)
                    return decoded;
                int read = compressed.Read(new Span<byte>(_input, InputBytes));
                if (read == 0)
                    return 0;
                _decoder.Supply(_input, read);
            }
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (!_disposed)
            {
                _disposed = true;
                _decoder.Dispose();
                NativeMemory.Free(_input);
                compressed.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
