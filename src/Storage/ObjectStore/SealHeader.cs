using System.Buffers.Binary;
using System.Security.Cryptography;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What an encrypted object begins with: the data key, wrapped for each who may read, and what the chunks behind it rest on.</summary>
/// <remarks>
/// Big-endian: magic <c>NDCSEAL1</c>; u32 length of what follows up to the chunks; u8 number of wrapped keys; for each u8 how (1: AES-256 key wrap with padding, RFC 5649; 2: RSA-OAEP with SHA-256, RFC 8017),
/// 8 bytes key id, u16 length, the wrapped key; 4 random bytes that nonces begin with. The 8 characters of the magic end with the format's version. Documented in docs/operations.md, "Object store".
/// </remarks>
internal sealed class SealHeader
{
    public const int DataKeyBytes = 32;
    public const int KeyIdBytes = 8;
    public const int NoncePrefixBytes = 4;

    /// <summary>A header that claims more is none: 255 RSA keys of 16384 bits fit in twice.</summary>
    private const int MaxBytes = 1 << 20;

    private static readonly byte[] s_magic = "NDCSEAL1"u8.ToArray();

    private SealHeader(byte[] bytes, IReadOnlyList<WrappedKey> keys, ReadOnlyMemory<byte> noncePrefix)
    {
        Bytes = bytes;
        Keys = keys;
        NoncePrefix = noncePrefix;
        Hash = SHA256.HashData(bytes);
    }

    /// <summary>As it stands in the object.</summary>
    public byte[] Bytes { get; }

    public IReadOnlyList<WrappedKey> Keys { get; }

    public ReadOnlyMemory<byte> NoncePrefix { get; }

    /// <summary>SHA-256 of <see cref="Bytes"/>; every chunk's tag rests on it.</summary>
    public byte[] Hash { get; }

    /// <summary>A header with a new nonce prefix.</summary>
    public static SealHeader Create(ReadOnlySpan<byte> dataKey, IReadOnlyList<SealingKey> keys)
    {
        var body = new MemoryStream();
        body.WriteByte(checked((byte)keys.Count));
        Span<byte> length = stackalloc byte[4];
        foreach (var key in keys)
        {
            byte[] wrapped = key.Wrap(dataKey);
            body.WriteByte((byte)key.Wrapping);
            body.Write(key.Id);
            BinaryPrimitives.WriteUInt16BigEndian(length, checked((ushort)wrapped.Length));
            body.Write(length[..2]);
            body.Write(wrapped);
        }

        body.Write(RandomNumberGenerator.GetBytes(NoncePrefixBytes));
        BinaryPrimitives.WriteUInt32BigEndian(length, (uint)body.Length);
        return Parse([.. s_magic, .. length, .. body.ToArray()]);
    }

    /// <summary>Reads the header that <paramref name="stream"/> begins with.</summary>
    /// <exception cref="InvalidDataException">It begins otherwise.</exception>
    public static SealHeader Read(Stream stream)
    {
        byte[] start = new byte[s_magic.Length + 4];
        if (stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) < start.Length || !start.AsSpan().StartsWith(s_magic))
            throw new InvalidDataException("does not begin as an encrypted object of this version (NDCSEAL1)");

        uint length = BinaryPrimitives.ReadUInt32BigEndian(start.AsSpan(s_magic.Length));
        if (length > MaxBytes)
            throw new InvalidDataException($"claims a header of {length} bytes");
        byte[] bytes = [.. start, .. new byte[length]];
        if (stream.ReadAtLeast(bytes.AsSpan(start.Length), (int)length, throwOnEndOfStream: false) < length)
            throw new InvalidDataException("ends within its header");
        return Parse(bytes);
    }

    /// <summary>Reads a header that is all of <paramref name="bytes"/>.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static SealHeader Parse(byte[] bytes)
    {
        var keys = new List<WrappedKey>();
        int at = s_magic.Length + 4;
        int count = Take(1)[0];
        for (int i = 0; i < count; i++)
        {
            var wrapping = (KeyWrapping)Take(1)[0];
            byte[] id = Take(KeyIdBytes).ToArray();
            keys.Add(new(wrapping, id, Take(BinaryPrimitives.ReadUInt16BigEndian(Take(2))).ToArray()));
        }

        int prefixAt = at;
        _ = Take(NoncePrefixBytes);
        return at == bytes.Length ? new(bytes, keys, bytes.AsMemory(prefixAt, NoncePrefixBytes)) : throw new InvalidDataException("has a header that is longer than what is in it");

        ReadOnlySpan<byte> Take(int length)
        {
            if (length > bytes.Length - at)
                throw new InvalidDataException("has a header that ends too early");
            at += length;
            return bytes.AsSpan(at - length, length);
        }
    }
}

/// <summary>How a data key is wrapped.</summary>
internal enum KeyWrapping : byte
{
    /// <summary>AES-256 key wrap with padding, RFC 5649.</summary>
    AesKeyWrap = 1,

    /// <summary>RSA-OAEP with SHA-256 and MGF1 of it, RFC 8017.</summary>
    RsaOaepSha256 = 2,
}

/// <summary>A data key as it stands in a header.</summary>
/// <param name="Wrapping">How it is wrapped.</param>
/// <param name="KeyId">Whose key is needed; see <see cref="SealingKey.Id"/>.</param>
/// <param name="Wrapped">The wrapped key.</param>
internal sealed record WrappedKey(KeyWrapping Wrapping, byte[] KeyId, byte[] Wrapped);
