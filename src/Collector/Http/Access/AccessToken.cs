using System.Security.Cryptography;
using System.Text;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Who may do what, and what he shows for it.</summary>
/// <remarks>Its text form has no secret in it, so that none comes into a log.</remarks>
internal sealed class AccessToken
{
    public const int DigestBytes = SHA256.HashSizeInBytes;

    private readonly Lazy<byte[]> _digest;

    private AccessToken(string name, AccessRole role, string? secret, Func<byte[]> digest)
    {
        Name = name;
        Role = role;
        Secret = secret;
        // Hashing loads libraries, and the file is read before the first herald is answered.
        _digest = new(digest);
    }

    /// <summary>What the audit log calls him.</summary>
    public string Name { get; }

    public AccessRole Role { get; }

    /// <summary>What he shows, null where the file only has its digest.</summary>
    public string? Secret { get; }

    /// <summary>SHA-256 of what he shows.</summary>
    public ReadOnlySpan<byte> Digest => _digest.Value;

    public static AccessToken OfSecret(string name, AccessRole role, string secret) => new(name, role, secret, () => DigestOf(secret));

    public static AccessToken OfDigest(string name, AccessRole role, byte[] digest) => new(name, role, secret: null, () => digest);

    public static byte[] DigestOf(string secret) => SHA256.HashData(Encoding.UTF8.GetBytes(secret));

    public override string ToString() => $"{Name} ({Role.ToString().ToLowerInvariant()})";
}
