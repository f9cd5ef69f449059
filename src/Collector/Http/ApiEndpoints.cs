using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http;

/// <summary>The state of sessions and dumps for programs: <c>/api/v1</c>. Its JSON is a published format.</summary>
internal sealed class ApiEndpoints(LiveState live, RecentCatalog catalog, EventStream events)
{
    /// <summary>A dump directory that takes longer hangs.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/sessions", WriteSessionsAsync);
        routes.MapGet("/api/v1/events", events.WriteAsync);
        routes.MapGet("/api/v1/dumps", WriteDumpsAsync);
        routes.MapGet("/api/v1/dumps/{id}", WriteDumpAsync);
    }

    private async Task WriteSessionsAsync(HttpContext context)
    {
        var sessions = await live.SessionsAsync().ConfigureAwait(false);
        await WriteAsync(context, StatusCodes.Status200OK, sessions.OrderBy(session => session.StartedAt).Select(SessionRow.Of).ToArray()).ConfigureAwait(false);
    }

    private async Task WriteDumpsAsync(HttpContext context)
    {
        if (!DumpQuery.TryParse(context.Request.Query, out var query, out string? problem))
        {
            await WriteProblemAsync(context, StatusCodes.Status400BadRequest, problem).ConfigureAwait(false);
            return;
        }

        if (await ReadAsync(context).ConfigureAwait(false) is not { } dumps)
            return;
        var (page, total) = query.Apply(DumpList.Of(dumps).Rows);
        await WriteAsync(context, StatusCodes.Status200OK, new { total, query.Offset, query.Limit, dumps = page }).ConfigureAwait(false);
    }

    private async Task WriteDumpAsync(HttpContext context)
    {
        string id = (string)context.Request.RouteValues["id"]!;
        if (await ReadAsync(context).ConfigureAwait(false) is not { } dumps)
            return;
        var found = dumps.Find(id);
        if (found.Count != 1)
        {
            await WriteProblemAsync(context, StatusCodes.Status404NotFound, found.Count == 0 ? $"no dump \"{id}\"" : $"\"{id}\" means {found.Count} dumps").ConfigureAwait(false);
            return;
        }

        string? manifest = null;
        try
        {
            manifest = await Task.Run(() => File.ReadAllText(found[0].ManifestPath)).WaitAsync(s_patience, context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or TimeoutException)
        {
            // It went since the directory was read, or the file system hangs.
        }

        if (manifest is null)
            await WriteProblemAsync(context, StatusCodes.Status404NotFound, $"no dump \"{id}\" that can be read any more").ConfigureAwait(false);
        else
        {
            Begin(context, StatusCodes.Status200OK);
            await context.Response.WriteAsync(manifest, context.RequestAborted).ConfigureAwait(false);
        }
    }

    /// <summary>The dump directory; null where it cannot be read, which has been answered then.</summary>
    private async Task<DumpCatalog?> ReadAsync(HttpContext context)
    {
        try
        {
            return await catalog.ReadAsync().WaitAsync(s_patience, context.RequestAborted).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            await WriteProblemAsync(context, StatusCodes.Status503ServiceUnavailable, "the dump directory does not answer").ConfigureAwait(false);
            return null;
        }
        catch (StorageException e)
        {
            await WriteProblemAsync(context, StatusCodes.Status503ServiceUnavailable, e.Message).ConfigureAwait(false);
            return null;
        }
    }

    /// <summary>Written as it is made: a thousand sessions are half a megabyte.</summary>
    private static Task WriteAsync<T>(HttpContext context, int status, T value)
    {
        Begin(context, status);
        return JsonSerializer.SerializeAsync(context.Response.Body, value, JsonText.Indented, context.RequestAborted);
    }

    private static Task WriteProblemAsync(HttpContext context, int status, string problem) => WriteAsync(context, status, new { error = problem });

    private static void Begin(HttpContext context, int status)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
    }
}
