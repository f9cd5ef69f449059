using System.Buffers;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>A vmcore as the parts in which it is sent, compressed and encrypted where that is wanted.</summary>
/// <remarks>
/// The same file with the same header and data key always becomes the same parts, so that an upload that broke off goes on with the parts that are missing: those that arrived are made again and compared, not sent again.
/// The block size is therefore part of what <see cref="UploadState.Version"/> stands for.
/// </remarks>
internal sealed class PartReader : IDisposable
{
    /// <summary>What is compressed at a time.</summary>
    private const int BlockBytes = 4 << 20;

    /// <summary>Stores take parts from 5 MiB on, but for the last.</summary>
    private const long LeastPartBytes = 8 << 20;

    /// <summary>Stores take 10 000 parts; what compression and encryption add is within the rest.</summary>
    private const long MostParts = 9_000;

    private readonly SafeFileHandle _file;
    private readonly long _length;
    private readonly long _partBytes;
    private readonly BlockCompressor? _compressor;
    private readonly ChunkSealer? _sealer;
    private readonly byte[] _block = ArrayPool<byte>.Shared.Rent(BlockBytes);
    private readonly ArrayBufferWriter<byte> _body;
    private readonly ArrayBufferWriter<byte>? _sealed;
    private readonly IncrementalHash _plainHash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly IncrementalHash? _objectHash;
    private SealHeader? _header;
    private long _read;
    private bool _ended;

    /// <param name="file">The vmcore; it stays the caller's.</param>
    /// <param name="length">Its length.</param>
    /// <param name="partBytes">See <see cref="PartBytesFor"/>.</param>
    /// <param name="compression">What is done to it.</param>
    /// <param name="seal">Header and data key; null where it is not encrypted.</param>
    public PartReader(SafeFileHandle file, long length, long partBytes, StoreCompression compression, (SealHeader Header, byte[] DataKey)? seal)
    {
        _file = file;
        _length = length;
        _partBytes = partBytes;
        _compressor = BlockCompressor.Create(compression);
        _body = new(checked((int)Math.Min(partBytes + BlockBytes, Math.Max(length, 1))));
        if (seal is var (header, dataKey))
        {
            _header = header;
            _sealer = new(dataKey, header);
            _sealed = new(_body.FreeCapacity + (1 << 16));
        }

        // What is neither compressed nor encrypted has the file's own hash.
        if (_compressor is not null || _sealer is not null)
            _objectHash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Posix.Advise(file, 0, 0, Posix.AdviseSequential);
    }

    /// <summary>Bytes of the file that have become parts.</summary>
    public long FileBytes => _read;

    /// <summary>SHA-256 of the file and of all parts behind each other, in small hexadecimal letters, when there are no more parts.</summary>
    public (string File, string Object) Hashes()
    {
        string file = Convert.ToHexStringLower(_plainHash.GetHashAndReset());
        return (file, _objectHash is null ? file : Convert.ToHexStringLower(_objectHash.GetHashAndReset()));
    }

    /// <summary>How long parts are at least, but for the last: what a file of <paramref name="length"/> needs to fit in as many as a store takes.</summary>
    public static long PartBytesFor(long length) => Math.Max(LeastPartBytes, ((length / MostParts) + (1 << 20) - 1) >> 20 << 20);

    /// <summary>The next part; it is valid until the next call. Null behind the last; an empty file has one empty part.</summary>
    /// <exception cref="StorageException">The file cannot be read, or is shorter than it was.</exception>
    public ReadOnlyMemory<byte>? Next()
    {
        if (_ended)
            return null;
        _body.ResetWrittenCount();
        while (_body.WrittenCount < _partBytes && _read < _length)
            ReadBlock();
        _ended = _read == _length;
        var part = Seal();
        _objectHash?.AppendData(part.Span);
        return part;
    }

    public void Dispose()
    {
        _compressor?.Dispose();
        _sealer?.Dispose();
        _plainHash.Dispose();
        _objectHash?.Dispose();
        ArrayPool<byte>.Shared.Return(_block);
    }

    private void ReadBlock()
    {
        var block = _block.AsSpan(0, (int)Math.Min(BlockBytes, _length - _read));
        for (int done = 0; done < block.Length;)
        {
            int read;
            try
            {
                read = RandomAccess.Read(_file, block[done..], _read + done);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new StorageException($"cannot be read at byte {_read + done}: {e.Message}", e);
            }

            if (read == 0)
                throw new StorageException($"ends at byte {_read + done}, and had {_length} bytes");
            done += read;
        }

        // Whoever receives dumps needs the memory more; it is on the device, so that it can be read again.
        Posix.Advise(_file, _read, block.Length, Posix.AdviseDontNeed);
        _read += block.Length;
        _plainHash.AppendData(block);
        if (_compressor is null)
            _body.Write(block);
        else
            _compressor.Compress(block, _body);
    }

    private ReadOnlyMemory<byte> Seal()
    {
        if (_sealer is null)
            return _body.WrittenMemory;
        _sealed!.ResetWrittenCount();
        if (_header is { } header)
        {
            _sealed.Write(header.Bytes);
            _header = null;
        }

        _sealer.Seal(_body.WrittenSpan, endsHere: _ended, _sealed);
        return _sealed.WrittenMemory;
    }
}
