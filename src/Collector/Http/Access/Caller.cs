using System.Net;
using Microsoft.AspNetCore.Http;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Who asks.</summary>
/// <param name="Address">Where from.</param>
/// <param name="Token">By which token he is known; null for everybody.</param>
internal sealed record Caller(IPAddress? Address, AccessToken? Token)
{
    public string Name => Token?.Name ?? "-";

    /// <summary>Who sent the request, once <see cref="AccessGate"/> has let it pass.</summary>
    public static Caller Of(HttpContext context) => context.Features.Get<Caller>() ?? new(context.Connection.RemoteIpAddress, Token: null);
}
