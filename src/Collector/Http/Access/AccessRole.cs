using Microsoft.AspNetCore.Builder;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>What somebody may do over HTTP; each role includes those before it.</summary>
internal enum AccessRole
{
    /// <summary>See sessions, dumps and the page.</summary>
    View,

    /// <summary>Read what dumps contain.</summary>
    Download,

    /// <summary>Change dumps, and read their keys.</summary>
    Admin,
}

/// <summary>What a route takes; a route that does not say takes <see cref="AccessRole.Admin"/>.</summary>
/// <param name="Role">Null for a route that is open to everybody.</param>
internal sealed record NeededAccess(AccessRole? Role);

internal static class NeededAccessExtensions
{
    /// <summary>Only who has <paramref name="role"/> may ask.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder route, AccessRole role) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new NeededAccess(role));

    /// <summary>Everybody may ask: it tells nothing about single hosts.</summary>
    public static TBuilder OpenToAll<TBuilder>(this TBuilder route) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new NeededAccess(Role: null));
}
