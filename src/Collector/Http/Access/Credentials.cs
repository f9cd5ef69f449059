using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.Primitives;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>How somebody shows his token.</summary>
internal enum CredentialKind
{
    /// <summary>No header.</summary>
    None,
    Bearer,

    /// <summary>As the password, as browsers do when they ask their user; the name is not looked at.</summary>
    Basic,

    /// <summary>A header that cannot be understood, or several.</summary>
    Unusable,
}

/// <summary>What a request shows in its <c>Authorization</c> header.</summary>
/// <param name="Kind">How.</param>
/// <param name="Secret">The token, empty where there is none.</param>
/// <remarks>Source: RFC 6750, section 2.1; RFC 7617, section 2.</remarks>
internal readonly record struct Credentials(CredentialKind Kind, string Secret)
{
    private const int MaxHeaderChars = 4096;

    public static Credentials Of(StringValues header)
    {
        if (header.Count == 0)
            return new(CredentialKind.None, "");
        if (header.Count > 1 || header[0] is not { Length: > 0 and <= MaxHeaderChars } text || !AuthenticationHeaderValue.TryParse(text, out var value) || value.Parameter is not { Length: > 0 } parameter)
            return new(CredentialKind.Unusable, "");
        if (value.Scheme.Equals("Bearer", StringComparison.OrdinalIgnoreCase))
            return new(CredentialKind.Bearer, parameter);
        return value.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase) && PasswordOf(parameter) is string password
            ? new(CredentialKind.Basic, password)
            : new(CredentialKind.Unusable, "");
    }

    private static string? PasswordOf(string base64)
    {
        byte[] bytes = new byte[base64.Length];
        if (!Convert.TryFromBase64String(base64, bytes, out int length))
            return null;
        string pair = Encoding.UTF8.GetString(bytes, 0, length);
        int colon = pair.IndexOf(':', StringComparison.Ordinal);
        return colon >= 0 && colon + 1 < pair.Length ? pair[(colon + 1)..] : null;
    }

    /// <summary>A record would print the token.</summary>
    public override string ToString() => Kind.ToString();
}
