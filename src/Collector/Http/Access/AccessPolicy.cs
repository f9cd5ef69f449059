using Microsoft.AspNetCore.Http;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Why somebody does not get what he asks for.</summary>
/// <param name="Reason">As metrics count it.</param>
/// <param name="Status">Of the answer.</param>
/// <param name="Words">What is missing, and what to do.</param>
internal sealed record Denial(DeniedReason Reason, int Status, string Words);

/// <summary>Who may do what. Sans-I/O.</summary>
internal static class AccessPolicy
{
    /// <param name="needed">What the route takes, null for nothing.</param>
    /// <param name="changes">The request is to change something: any method but GET and HEAD.</param>
    /// <param name="hasTokens">There is a token file.</param>
    /// <param name="shown">How a token was shown.</param>
    /// <param name="token">Whose it is; null where it is nobody's, or none was shown.</param>
    /// <param name="isForeign">A browser sends it for a page of another origin.</param>
    /// <returns>Null where nothing stands against it.</returns>
    public static Denial? Judge(AccessRole? needed, bool changes, bool hasTokens, CredentialKind shown, AccessToken? token, bool isForeign)
    {
        if (changes && isForeign)
            return new(DeniedReason.ForeignOrigin, StatusCodes.Status403Forbidden, "a page of another origin changes nothing here");
        if (needed is not { } role)
            return null;
        if (!hasTokens)
        {
            return role == AccessRole.View ? null
                : new(DeniedReason.NoTokens, StatusCodes.Status403Forbidden, "without --token-file dumps are neither read nor changed over HTTP; give the collector one, with a token for whoever may");
        }

        if (shown == CredentialKind.None)
            return new(DeniedReason.MissingToken, StatusCodes.Status401Unauthorized, $"a token with the role {NameOf(role)} is needed: Authorization: Bearer TOKEN");
        if (token is null)
            return new(DeniedReason.WrongToken, StatusCodes.Status401Unauthorized, "nobody has this token; the token file says who has which");
        // A browser adds Basic by itself, whichever page has it send the request.
        if (changes && shown == CredentialKind.Basic)
            return new(DeniedReason.BasicForChange, StatusCodes.Status401Unauthorized, "changes need the token as Authorization: Bearer TOKEN");
        return token.Role >= role ? null
            : new(DeniedReason.SmallRole, StatusCodes.Status403Forbidden, $"{token.Name} has the role {NameOf(token.Role)}, and {NameOf(role)} is needed");
    }

    public static string NameOf(AccessRole role) => role.ToString().ToLowerInvariant();
}
