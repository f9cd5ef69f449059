using System.Text.Json;
using Microsoft.AspNetCore.Http;
using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Http;

/// <summary>Says why there is no other answer: to programs as <c>{ "error": … }</c>, elsewhere as a line of text.</summary>
internal static class HttpProblem
{
    public static Task WriteAsync(HttpContext context, int status, string words)
    {
        context.Response.StatusCode = status;
        if (context.Request.Path.StartsWithSegments("/api"))
        {
            context.Response.ContentType = ApiEndpoints.JsonType;
            return JsonSerializer.SerializeAsync(context.Response.Body, new { error = words }, JsonText.Indented, context.RequestAborted);
        }

        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(words + "\n", context.RequestAborted);
    }
}
