using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Lets pass who may; stands between routing and what is routed to.</summary>
/// <param name="tokens">Who may do what; null where nobody is known, which leaves looking to everybody.</param>
/// <param name="denials">Told of everybody else.</param>
/// <param name="stopping">The server ends.</param>
internal sealed class AccessGate(AccessTokens? tokens, Denials denials, CancellationToken stopping)
{
    /// <summary>Who guesses waits for each answer, and keeps no more connections than these busy with it.</summary>
    private const int MaxWaiting = 8;

    private static readonly TimeSpan s_penalty = TimeSpan.FromMilliseconds(500);

    private int _waiting;

    public async Task PassAsync(HttpContext context, RequestDelegate next)
    {
        var request = context.Request;
        // What is routed nowhere is no secret, but who may not look need not learn what there is.
        var needed = context.GetEndpoint() is not RouteEndpoint route ? AccessRole.View
            : route.Metadata.GetMetadata<NeededAccess>() is { } access ? access.Role : AccessRole.Admin;
        bool changes = !HttpMethods.IsGet(request.Method) && !HttpMethods.IsHead(request.Method);
        var credentials = tokens is null || needed is null ? default : Credentials.Of(request.Headers.Authorization);
        var token = credentials.Secret is { Length: > 0 } secret ? tokens!.Find(secret) : null;
        context.Features.Set(new Caller(context.Connection.RemoteIpAddress, token));
        if (AccessPolicy.Judge(needed, changes, tokens is not null, credentials.Kind, token, IsForeign(request)) is not { } denial)
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        denials.Add(context, denial);
        if (denial.Reason == DeniedReason.WrongToken && !await WaitAsync(context.RequestAborted).ConfigureAwait(false))
        {
            context.Response.Headers.RetryAfter = "1";
            await HttpProblem.WriteAsync(context, StatusCodes.Status429TooManyRequests, "too many wrong tokens at one time").ConfigureAwait(false);
            return;
        }

        if (denial.Status == StatusCodes.Status401Unauthorized)
            context.Response.Headers.WWWAuthenticate = Challenges(denial.Reason, changes);
        await HttpProblem.WriteAsync(context, denial.Status, denial.Words).ConfigureAwait(false);
    }

    /// <returns>False where as many wait already as may.</returns>
    private async Task<bool> WaitAsync(CancellationToken aborted)
    {
        if (Interlocked.Increment(ref _waiting) > MaxWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            return false;
        }

        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(aborted, stopping);
            await Task.Delay(s_penalty, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return true;
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private static string[] Challenges(DeniedReason reason, bool changes)
    {
        string bearer = $"Bearer realm=\"netdump-collector\"{(reason == DeniedReason.WrongToken ? ", error=\"invalid_token\"" : "")}";
        return changes ? [bearer] : [bearer, "Basic realm=\"netdump-collector\", charset=\"UTF-8\""];
    }

    /// <summary>Browsers say for which page's sake they send what changes something.</summary>
    /// <remarks>Source: Fetch, "Origin"; W3C Fetch Metadata.</remarks>
    private static bool IsForeign(HttpRequest request)
    {
        string? site = request.Headers["Sec-Fetch-Site"];
        if (site is not (null or "same-origin" or "none"))
            return true;
        string? origin = request.Headers.Origin;
        return origin is not null && !origin.Equals($"{request.Scheme}://{request.Host.Value}", StringComparison.OrdinalIgnoreCase);
    }
}
