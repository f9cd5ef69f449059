using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using NetdumpCollector.Collector.Http.Access;

namespace NetdumpCollector.Collector.Pages;

/// <summary>The status pages for people: <c>/</c>, <c>/sessions</c>, <c>/dumps</c> and one for each dump. All of it is rendered here; a script fetches the same page anew each second and takes over what changed.</summary>
internal sealed class PageEndpoints(StatusPage page, TimeProvider time)
{
    /// <summary>Nothing but what comes from here, no code and no style inside the page: what hosts call themselves stays text.</summary>
    private const string ContentPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

    private static readonly string[] s_methods = [HttpMethods.Get, HttpMethods.Head];

    private readonly PageCache _cache = new(time);

    public void Map(IEndpointRouteBuilder routes)
    {
        Map(routes, "/", _ => page.OverviewAsync);
        Map(routes, "/sessions", request =>
        {
            int number = PageOf.NumberOf(request.Query);
            return () => page.SessionsAsync(number);
        });
        Map(routes, "/dumps", request =>
        {
            var filter = DumpFilter.Of(request.Query);
            int number = PageOf.NumberOf(request.Query);
            return () => page.DumpsAsync(filter, number);
        });
        Map(routes, "/dumps/{id}", request =>
        {
            string id = (string)request.RouteValues["id"]!;
            return () => page.DumpAsync(id);
        });
        routes.MapMethods("/assets/{name}", s_methods, WriteAssetAsync).Needs(AccessRole.View);
    }

    /// <param name="routes">Where it is added.</param>
    /// <param name="pattern">The page's address.</param>
    /// <param name="read">Takes from a request what the page depends on. It is rendered also for others, so it must not hold on to the request.</param>
    private void Map(IEndpointRouteBuilder routes, string pattern, Func<HttpRequest, Func<Task<RenderedPage>>> read) =>
        routes.MapMethods(pattern, s_methods, context => WritePageAsync(context, read(context.Request))).Needs(AccessRole.View);

    private async Task WritePageAsync(HttpContext context, Func<Task<RenderedPage>> render)
    {
        var request = context.Request;
        var page = await _cache.GetAsync($"{request.Path}{request.QueryString}", render).WaitAsync(context.RequestAborted).ConfigureAwait(false);
        Protect(context.Response);
        context.Response.StatusCode = page.Status;
        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.ContentLength = page.Html.Length;
        if (!HttpMethods.IsHead(request.Method))
            await context.Response.Body.WriteAsync(page.Html, context.RequestAborted).ConfigureAwait(false);
    }

    private static Task WriteAssetAsync(HttpContext context)
    {
        Protect(context.Response);
        if (PageAsset.All.FirstOrDefault(asset => asset.Address == context.Request.Path.Value) is not { } asset)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        }

        context.Response.ContentType = asset.ContentType;
        context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
        context.Response.Headers.ETag = $"\"{asset.Hash}\"";
        if (context.Request.Headers.IfNoneMatch == context.Response.Headers.ETag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        context.Response.ContentLength = asset.Content.Length;
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.Body.WriteAsync(asset.Content, context.RequestAborted).AsTask();
    }

    private static void Protect(HttpResponse response)
    {
        response.Headers.ContentSecurityPolicy = ContentPolicy;
        response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
    }
}
