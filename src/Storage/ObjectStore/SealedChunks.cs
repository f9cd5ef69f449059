using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>Content as chunks of AES-256-GCM, each bound to its place, so that cutting, reordering, repeating and splicing are noticed.</summary>
/// <remarks>
/// A chunk is u32 (the highest bit: it is the last; the others: length of the ciphertext, at most <see cref="MaxPlainBytes"/>), ciphertext, tag of 16 bytes. Its nonce is the header's 4 bytes and its number (u64, from 0),
/// its additional data SHA-256 of the header, its number (u64) and one byte that is 1 in the last. There is always a last one, if only an empty one. A data key is used for one dump only.
/// Source: NIST SP 800-38D; the construction is STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance".
/// </remarks>
internal sealed class ChunkSealer : IDisposable
{
    public const int MaxPlainBytes = 1 << 20;
    public const int TagBytes = 16;
    public const int LengthBytes = 4;
    public const uint LastFlag = 1u << 31;

    private readonly AesGcm _aes;
    private readonly SealHeader _header;
    private ulong _number;

    public ChunkSealer(byte[] dataKey, SealHeader header)
    {
        _aes = new(dataKey, TagBytes);
        _header = header;
    }

    /// <summary>Appends <paramref name="plain"/> as chunks.</summary>
    /// <param name="plain">What comes next.</param>
    /// <param name="endsHere">It is the end of the content.</param>
    /// <param name="output">Gets the chunks.</param>
    public void Seal(ReadOnlySpan<byte> plain, bool endsHere, ArrayBufferWriter<byte> output)
    {
        Span<byte> nonce = stackalloc byte[12];
        Span<byte> bound = stackalloc byte[SHA256.HashSizeInBytes + sizeof(ulong) + 1];
        while (plain.Length > 0 || endsHere)
        {
            var piece = plain[..Math.Min(plain.Length, MaxPlainBytes)];
            plain = plain[piece.Length..];
            bool isLast = endsHere && plain.Length == 0;
            var chunk = output.GetSpan(LengthBytes + piece.Length + TagBytes);
            BinaryPrimitives.WriteUInt32BigEndian(chunk, (uint)piece.Length | (isLast ? LastFlag : 0));
            Bind(_header, _number++, isLast, nonce, bound);
            _aes.Encrypt(nonce, piece, chunk.Slice(LengthBytes, piece.Length), chunk.Slice(LengthBytes + piece.Length, TagBytes), bound);
            output.Advance(LengthBytes + piece.Length + TagBytes);
            if (isLast)
                return;
        }
    }

    public void Dispose() => _aes.Dispose();

    /// <summary>Nonce and additional data of a chunk.</summary>
    internal static void Bind(SealHeader header, ulong number, bool isLast, Span<byte> nonce, Span<byte> bound)
    {
        header.NoncePrefix.Span.CopyTo(nonce);
        BinaryPrimitives.WriteUInt64BigEndian(nonce[SealHeader.NoncePrefixBytes..], number);
        header.Hash.CopyTo(bound);
        BinaryPrimitives.WriteUInt64BigEndian(bound[SHA256.HashSizeInBytes..], number);
        bound[^1] = isLast ? (byte)1 : (byte)0;
    }
}

/// <summary>Reads the content of chunks; what it returns has been authenticated, and its end is the content's end.</summary>
internal sealed class ChunkOpener(Stream chunks, byte[] dataKey, SealHeader header) : Stream
{
    private readonly AesGcm _aes = new(dataKey, ChunkSealer.TagBytes);
    private readonly byte[] _chunk = new byte[ChunkSealer.MaxPlainBytes + ChunkSealer.TagBytes];
    private readonly byte[] _plain = new byte[ChunkSealer.MaxPlainBytes];
    private ulong _number;
    private int _at;
    private int _length;
    private bool _ended;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <exception cref="InvalidDataException">A chunk was cut, moved or changed, or is missing, or something stands behind the last one.</exception>
    public override int Read(Span<byte> buffer)
    {
        while (_at == _length && !_ended)
            Open();
        int count = Math.Min(buffer.Length, _length - _at);
        _plain.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _aes.Dispose();
            chunks.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Open()
    {
        Span<byte> word = stackalloc byte[ChunkSealer.LengthBytes];
        if (chunks.ReadAtLeast(word, word.Length, throwOnEndOfStream: false) < word.Length)
            throw new InvalidDataException($"ends before its last chunk, at chunk {_number}: it was cut");
        uint value = BinaryPrimitives.ReadUInt32BigEndian(word);
        bool isLast = (value & ChunkSealer.LastFlag) != 0;
        uint length = value & ~ChunkSealer.LastFlag;
        if (length > ChunkSealer.MaxPlainBytes || (length == 0 && !isLast))
            throw new InvalidDataException($"has a chunk {_number} of an impossible length: it was tampered with");
        var chunk = _chunk.AsSpan(0, (int)length + ChunkSealer.TagBytes);
        if (chunks.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false) < chunk.Length)
            throw new InvalidDataException($"ends within chunk {_number}: it was cut");

        Span<byte> nonce = stackalloc byte[12];
        Span<byte> bound = stackalloc byte[SHA256.HashSizeInBytes + sizeof(ulong) + 1];
        ChunkSealer.Bind(header, _number, isLast, nonce, bound);
        try
        {
            _aes.Decrypt(nonce, chunk[..(int)length], chunk[(int)length..], _plain.AsSpan(0, (int)length), bound);
        }
        catch (AuthenticationTagMismatchException e)
        {
            throw new InvalidDataException($"has a chunk {_number} that was tampered with, or stands in another place than it was written for", e);
        }

        if (isLast && chunks.Read(word) > 0)
            throw new InvalidDataException("has something behind its last chunk");
        _number++;
        _at = 0;
        _length = (int)length;
        _ended = isLast;
    }
}
