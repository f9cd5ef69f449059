using System.Buffers;
using System.Text;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Reads who may do what: lines of <c>NAME ROLE TOKEN</c>, where TOKEN is the secret itself or <c>sha256:</c> and its digest in hexadecimal.</summary>
internal static class TokenFile
{
    /// <summary>128 bits in hexadecimal: what cannot be guessed.</summary>
    public const int MinSecretChars = 32;

    public const int MaxBytes = 64 << 10;

    private const int MaxSecretChars = 512;
    private const int MaxNameChars = 64;
    private const string DigestPrefix = "sha256:";
    private const string HowToMake = "make a line with: echo \"NAME view $(openssl rand -hex 32)\"";

    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private static readonly SearchValues<char> s_nameChars = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-");

    /// <remarks>Those that fit a Bearer header as they are. Source: RFC 6750, section 2.1.</remarks>
    private static readonly SearchValues<char> s_secretChars = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=");

    /// <exception cref="TokenFileException">The file cannot be read or used; the message has no token in it.</exception>
    public static IReadOnlyList<AccessToken> Read(string path) => Parse(path, ReadBytes(path));

    /// <exception cref="TokenFileException">It cannot be read, is no regular file, or is longer than any token file.</exception>
    public static byte[] ReadBytes(string path)
    {
        try
        {
            return SmallFile.Read(path, MaxBytes);
        }
        catch (IOException e)
        {
            throw new TokenFileException($"token file {path}: {e.Message}; name a file with a line for each token that {Environment.UserName} can read", e);
        }
    }

    /// <remarks>Messages quote nothing of the file: words may stand in the wrong order.</remarks>
    /// <param name="path">What messages call the file.</param>
    /// <param name="bytes">What it holds.</param>
    /// <exception cref="TokenFileException">A line cannot be used, or there is none; the message names it.</exception>
    public static IReadOnlyList<AccessToken> Parse(string path, ReadOnlySpan<byte> bytes)
    {
        string text;
        try
        {
            text = s_strict.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new TokenFileException($"token file {path}: is no UTF-8 text; {HowToMake}", e);
        }

        var tokens = new List<AccessToken>();
        var lineOfName = new Dictionary<string, int>(StringComparer.Ordinal);
        var lineOfToken = new Dictionary<string, int>(StringComparer.Ordinal);
        int number = 0;
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            number++;
            var words = line.Trim();
            if (words.IsEmpty || words[0] == '#')
                continue;
            string[] fields = words.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (fields is not [string name, string role, string token])
                throw Wrong($"has {fields.Length} words", "write NAME ROLE TOKEN");

            tokens.Add(TokenOf(name, role, token));
            if (!lineOfName.TryAdd(name, number))
                throw Wrong($"the name stands in line {lineOfName[name]} as well", "give each token a name of its own");
            // A token and its digest are not compared: hashing loads libraries, and heralds wait.
            string known = tokens[^1].Secret ?? token.ToUpperInvariant();
            if (!lineOfToken.TryAdd(known, number))
                throw Wrong($"the token stands in line {lineOfToken[known]} as well", "give everybody a token of his own");
        }

        return tokens.Count > 0 ? tokens : throw new TokenFileException($"token file {path}: holds no token; {HowToMake}");

        AccessToken TokenOf(string name, string role, string token)
        {
            if (name.Length > MaxNameChars || name.AsSpan().ContainsAnyExcept(s_nameChars))
                throw Wrong("the name is not usable", $"use at most {MaxNameChars} of A-Z a-z 0-9 _ . @ -");
            if (!SettingValues.TryChoice<AccessRole>(role, out var access))
                throw Wrong("the role is none", "roles are view, download and admin");
            if (token.StartsWith(DigestPrefix, StringComparison.Ordinal))
            {
                byte[] digest = new byte[AccessToken.DigestBytes];
                return Convert.FromHexString(token.AsSpan(DigestPrefix.Length), digest, out int used, out int written) == OperationStatus.Done && written == digest.Length && used == 2 * digest.Length
                    ? AccessToken.OfDigest(name, access, digest)
                    : throw Wrong($"the digest is not {2 * AccessToken.DigestBytes} hexadecimal digits", "make it with: printf %s \"$TOKEN\" | sha256sum");
            }

            if (token.Length is < MinSecretChars or > MaxSecretChars)
                throw Wrong($"the token has {token.Length} characters, at least {MinSecretChars} and at most {MaxSecretChars} are needed", HowToMake);
            if (token.AsSpan().ContainsAnyExcept(s_secretChars))
                throw Wrong("the token has characters that no header takes", HowToMake);
            return AccessToken.OfSecret(name, access, token);
        }

        TokenFileException Wrong(string reason, string advice) => new($"token file {path}, line {number}: {reason}; {advice}");
    }
}

/// <summary>Nobody can be known by the token file.</summary>
internal sealed class TokenFileException(string message, Exception? inner = null) : Exception(message, inner);
