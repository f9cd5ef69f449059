using System.Security.Cryptography;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>A key that data keys are wrapped with: a secret of 32 bytes, an RSA public key, or, to read, its private key.</summary>
internal sealed class SealingKey
{
    private const int SecretBytes = 32;
    private const int LeastRsaBits = 2048;
    private const int LongestFile = 64 << 10;
    private const string SecretAdvice = "name by --store-key a file that was made with: head -c 32 /dev/urandom > FILE";
    private const string PublicAdvice = "name by --store-public-key a file that was made with: openssl pkey -in FILE -pubout, of a private key by: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072";
    private const string OpeningAdvice = "name by --key the file that --store-key named, or the private key of --store-public-key";

    private readonly byte[]? _secret;
    private readonly RSA? _rsa;
    private readonly bool _isPrivate;

    private SealingKey(byte[]? secret, RSA? rsa, bool isPrivate, byte[] fingerprint)
    {
        _secret = secret;
        _rsa = rsa;
        _isPrivate = isPrivate;
        Id = fingerprint[..SealHeader.KeyIdBytes];
    }

    /// <summary>The first bytes of SHA-256 of <c>netdump-collector key id</c> and the secret, or of the public key's SubjectPublicKeyInfo: it tells which key is needed and nothing of it.</summary>
    public byte[] Id { get; }

    public KeyWrapping Wrapping => _secret is not null ? KeyWrapping.AesKeyWrap : KeyWrapping.RsaOaepSha256;

    /// <summary>Reads a file with a secret of 32 bytes.</summary>
    /// <exception cref="StorageException">It is none.</exception>
    public static SealingKey FromSecretFile(string path) => FromBytes(ReadFile(path, SecretAdvice))
        ?? throw new StorageException($"key file {path}: is not a key of exactly {SecretBytes} bytes; {SecretAdvice}");

    /// <summary>Reads a PEM file with an RSA public key.</summary>
    /// <exception cref="StorageException">It is none.</exception>
    public static SealingKey FromPublicKeyFile(string path)
    {
        string pem = System.Text.Encoding.UTF8.GetString(ReadFile(path, PublicAdvice));
        // What is to encrypt needs no private key, and one that lies on a server for nothing is one that is stolen for nothing.
        if (pem.Contains("PRIVATE KEY", StringComparison.Ordinal))
            throw new StorageException($"key file {path}: holds a private key; {PublicAdvice}");
        return FromPem(path, pem, isPrivate: false, PublicAdvice);
    }

    /// <summary>Reads a file with what opens dumps: a secret of 32 bytes, or an RSA private key as PEM.</summary>
    /// <exception cref="StorageException">It is neither.</exception>
    public static SealingKey FromOpeningFile(string path)
    {
        byte[] content = ReadFile(path, OpeningAdvice, mayBePipe: true);
        if (FromBytes(content) is { } secret)
            return secret;
        string pem = System.Text.Encoding.UTF8.GetString(content);
        return pem.Contains("PRIVATE KEY", StringComparison.Ordinal)
            ? FromPem(path, pem, isPrivate: true, OpeningAdvice)
            : throw new StorageException($"key file {path}: is neither a key of exactly {SecretBytes} bytes nor an RSA private key (PEM); {OpeningAdvice}");
    }

    public byte[] Wrap(ReadOnlySpan<byte> dataKey)
    {
        if (_secret is null)
            return _rsa!.Encrypt(dataKey, RSAEncryptionPadding.OaepSHA256);
        using var aes = Aes.Create();
        aes.Key = _secret;
        return aes.EncryptKeyWrapPadded(dataKey);
    }

    /// <summary>The data key, or null where it is wrapped for others.</summary>
    /// <exception cref="InvalidDataException">It is wrapped for this key, and not by it.</exception>
    public byte[]? Unwrap(IReadOnlyList<WrappedKey> keys)
    {
        foreach (var key in keys.Where(key => key.Wrapping == Wrapping && key.KeyId.AsSpan().SequenceEqual(Id)))
        {
            try
            {
                byte[] dataKey = UnwrapOne(key.Wrapped);
                return dataKey.Length == SealHeader.DataKeyBytes ? dataKey : throw new InvalidDataException("has a data key of another length");
            }
            catch (CryptographicException e)
            {
                throw new InvalidDataException("has a data key that was tampered with", e);
            }
        }

        return null;
    }

    private byte[] UnwrapOne(byte[] wrapped)
    {
        if (_secret is null)
            return _isPrivate ? _rsa!.Decrypt(wrapped, RSAEncryptionPadding.OaepSHA256) : throw new InvalidOperationException("a public key opens nothing");
        using var aes = Aes.Create();
        aes.Key = _secret;
        return aes.DecryptKeyWrapPadded(wrapped);
    }

    private static SealingKey? FromBytes(byte[] content) => content.Length == SecretBytes
        ? new(content, null, isPrivate: true, SHA256.HashData([.. "netdump-collector key id"u8, .. content]))
        : null;

    private static SealingKey FromPem(string path, string pem, bool isPrivate, string advice)
    {
        var rsa = RSA.Create();
        try
        {
            rsa.ImportFromPem(pem);
            if (rsa.KeySize < LeastRsaBits)
                throw new StorageException($"key file {path}: has {rsa.KeySize} bits, and at least {LeastRsaBits} are needed; {advice}");
            return new(null, rsa, isPrivate, SHA256.HashData(rsa.ExportSubjectPublicKeyInfo()));
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            rsa.Dispose();
            throw new StorageException($"key file {path}: is no RSA {(isPrivate ? "private" : "public")} key in PEM without a password; {advice}", e);
        }
        catch
        {
            rsa.Dispose();
            throw;
        }
    }

    private static byte[] ReadFile(string path, string advice, bool mayBePipe = false)
    {
        try
        {
            return SmallFile.Read(path, LongestFile, mayBePipe);
        }
        catch (IOException e)
        {
            throw new StorageException($"key file {path}: {e.Message}; {advice}", e);
        }
    }
}
