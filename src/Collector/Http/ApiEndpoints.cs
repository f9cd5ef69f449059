using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Collector.Http.Files;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http;

/// <summary>Sessions and dumps for programs: <c>/api/v1</c>. Its JSON is a published format, which <c>openapi.json</c> describes.</summary>
internal sealed class ApiEndpoints(SessionRows rows, DumpFinder finder, FleetView? fleet, EventStream events, DumpFiles files, DumpChanges changes, BlockingWork reads)
{
    public const string JsonType = "application/json; charset=utf-8";

    private const string Description = "openapi.json";

    private static readonly string[] s_read = [HttpMethods.Get, HttpMethods.Head];

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/openapi.json", s_read, WriteDescriptionAsync).Needs(AccessRole.View);
        new NodeEndpoints(fleet).Map(routes);
        routes.MapMethods("/api/v1/sessions", s_read, WriteSessionsAsync).Needs(AccessRole.View);
        routes.MapMethods("/api/v1/events", s_read, events.WriteAsync).Needs(AccessRole.View);
        routes.MapMethods("/api/v1/dumps", s_read, WriteDumpsAsync).Needs(AccessRole.View);
        routes.MapMethods("/api/v1/dumps/{id}", s_read, WriteDumpAsync).Needs(AccessRole.View);
        routes.MapDelete("/api/v1/dumps/{id}", changes.DeleteAsync).Needs(AccessRole.Admin);
        routes.MapMethods("/api/v1/dumps/{id}/vmcore", s_read, context => files.SendAsync(context, StoredFileKind.Vmcore)).Needs(AccessRole.Download);
        routes.MapMethods("/api/v1/dumps/{id}/info", s_read, context => files.SendAsync(context, StoredFileKind.Info)).Needs(AccessRole.Download);
        // Who has the key's file and the private key reads memory that was encrypted for a reason.
        routes.MapMethods("/api/v1/dumps/{id}/key", s_read, context => files.SendAsync(context, StoredFileKind.Key)).Needs(AccessRole.Admin);
        routes.MapPut("/api/v1/dumps/{id}/pin", changes.PinAsync).Needs(AccessRole.Admin);
        routes.MapDelete("/api/v1/dumps/{id}/pin", changes.UnpinAsync).Needs(AccessRole.Admin);
    }

    /// <summary>Written as it is made: a thousand sessions are half a megabyte.</summary>
    public static Task WriteAsync<T>(HttpContext context, int status, T value)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = JsonType;
        return JsonSerializer.SerializeAsync(context.Response.Body, value, JsonText.Indented, context.RequestAborted);
    }

    private static async Task WriteDescriptionAsync(HttpContext context)
    {
        context.Response.ContentType = JsonType;
        using var description = typeof(ApiEndpoints).Assembly.GetManifestResourceStream(Description)!;
        await description.CopyToAsync(context.Response.Body, context.RequestAborted).ConfigureAwait(false);
    }

    private async Task WriteSessionsAsync(HttpContext context)
    {
        var sessions = await rows.ReadAsync().ConfigureAwait(false);
        if (fleet?.Notice is string notice)
            context.Response.Headers[FleetView.NoticeHeader] = notice;
        await WriteAsync(context, StatusCodes.Status200OK, sessions).ConfigureAwait(false);
    }

    private async Task WriteDumpsAsync(HttpContext context)
    {
        if (!DumpQuery.TryParse(context.Request.Query, out var query, out string? problem))
        {
            await HttpProblem.WriteAsync(context, StatusCodes.Status400BadRequest, problem).ConfigureAwait(false);
            return;
        }

        if (await finder.ReadAsync(context).ConfigureAwait(false) is not { } dumps)
            return;
        var all = DumpList.Of(dumps, fleet?.Node).Rows.ToList();
        int unseen = 0;
        if (fleet is not null)
        {
            var here = all.Select(row => row.Id).ToHashSet();
            all.AddRange(fleet.Unended.Where(row => !here.Contains(row.Id)));
            if (await fleet.DumpsAsync(query.OfFleet, context.RequestAborted).ConfigureAwait(false) is var (rows, matching))
            {
                all.AddRange(rows);
                unseen = matching - rows.Count;
            }
        }

        var (page, total) = query.Apply(all);
        await WriteAsync(context, StatusCodes.Status200OK, new { total = total + unseen, query.Offset, query.Limit, notice = fleet?.Notice, dumps = page }).ConfigureAwait(false);
    }

    /// <summary>The manifest as it is, or what is known of a dump that has none yet.</summary>
    private async Task WriteDumpAsync(HttpContext context)
    {
        if (await finder.FindAsync(context).ConfigureAwait(false) is not { } found)
            return;
        if (found.Elsewhere is { } elsewhere)
        {
            context.Response.Headers[FleetView.NodeHeader] = elsewhere.Node;
            context.Response.ContentType = JsonType;
            await context.Response.WriteAsync(elsewhere.Manifest!, context.RequestAborted).ConfigureAwait(false);
            return;
        }

        if (found.Ended is not { } dump)
        {
            await WriteAsync(context, StatusCodes.Status200OK, found.Running).ConfigureAwait(false);
            return;
        }

        byte[]? manifest = null;
        string? problem = "too many manifests are being read";
        using (var place = reads.TryEnter())
        {
            try
            {
                if (place is not null)
                    manifest = await place.RunAsync(() => ReadManifest(found.Catalog.Root, dump)).WaitAsync(DumpFinder.Patience, context.RequestAborted).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or StorageException or TimeoutException)
            {
                problem = $"no dump \"{dump.Manifest.Id}\" that can be read any more";
            }
        }

        if (manifest is null)
        {
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, problem).ConfigureAwait(false);
            return;
        }

        context.Response.ContentType = JsonType;
        await context.Response.Body.WriteAsync(manifest, context.RequestAborted).ConfigureAwait(false);
    }

    private static byte[] ReadManifest(string root, CatalogedDump dump)
    {
        using var file = StoredFile.Open(root, dump, StoredFileKind.Manifest)!;
        byte[] bytes = new byte[Math.Min(file.LengthBytes, ManifestFile.MaxBytes)];
        for (int read = 0; read < bytes.Length;)
        {
            int more = RandomAccess.Read(file.Handle, bytes.AsSpan(read), read);
            read += more > 0 ? more : throw new EndOfStreamException();
        }

        return bytes;
    }
}
