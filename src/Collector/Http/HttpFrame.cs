using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http;

/// <summary>What all answers have in common: headers that keep browsers from harm, and words for whatever has no answer.</summary>
/// <param name="bound">Where HTTP is answered.</param>
/// <param name="denials">Told of who asks a loopback address for another host.</param>
/// <param name="log">The log.</param>
internal sealed class HttpFrame(IPAddress bound, Denials denials, ILogger log)
{
    /// <summary>Nothing may be loaded or run by an answer that is no page; a page brings a policy of its own.</summary>
    private const string NoContent = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    public async Task AnswerAsync(HttpContext context, RequestDelegate next)
    {
        var headers = context.Response.Headers;
        headers.CacheControl = "no-store";
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers.ContentSecurityPolicy = NoContent;
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        if (IsRebound(context.Request.Host))
        {
            const string Words = "asked for a host that is not this one: a loopback address answers to localhost and to IP addresses (a proxy must send one of them as Host)";
            denials.Add(context, new(DeniedReason.ForeignHost, StatusCodes.Status421MisdirectedRequest, Words));
            await HttpProblem.WriteAsync(context, StatusCodes.Status421MisdirectedRequest, Words).ConfigureAwait(false);
            return;
        }

        try
        {
            await next(context).ConfigureAwait(false);
            if (!context.Response.HasStarted && context.Response.ContentType is null && WordsOf(context) is string words)
                await HttpProblem.WriteAsync(context, context.Response.StatusCode, words).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody waits for the answer any more.
        }
        catch (BadHttpRequestException e)
        {
            await FailAsync(context, e.StatusCode, e.Message).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            CollectorLog.RequestFailed(log, context.Request.Method, context.Request.Path.ToUriComponent(), e);
            await FailAsync(context, StatusCodes.Status500InternalServerError, "failed; the collector's log says why").ConfigureAwait(false);
        }
    }

    /// <summary>
    /// A page elsewhere may give its own name this machine's loopback address, and so have a browser here read for it what only this machine may see. Then the browser asks for that name.
    /// </summary>
    private bool IsRebound(HostString host)
    {
        if (!IPAddress.IsLoopback(bound) || !host.HasValue)
            return false;
        string name = host.Host.TrimEnd('.');
        return !name.Equals("localhost", StringComparison.OrdinalIgnoreCase) && !IPAddress.TryParse(name.Trim('[', ']'), out _);
    }

    private static string? WordsOf(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => "there is nothing here; /api/v1/openapi.json tells what there is",
        StatusCodes.Status405MethodNotAllowed => $"{context.Request.Method} is not possible here; {context.Response.Headers.Allow} is",
        _ => null,
    };

    private static Task FailAsync(HttpContext context, int status, string words)
    {
        if (!context.Response.HasStarted)
            return HttpProblem.WriteAsync(context, status, words);
        // The answer must not look whole.
        context.Abort();
        return Task.CompletedTask;
    }
}
