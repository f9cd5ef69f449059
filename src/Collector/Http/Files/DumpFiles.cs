using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Http.Files;

/// <summary>Sends the files of ended dumps, whole or in part, and has the audit log tell of it.</summary>
/// <param name="finder">Finds the dump.</param>
/// <param name="downloads">The threads that read, which get only idle processor and disk time: nobody who fetches a dump slows one that arrives.</param>
/// <param name="audit">Told of each; null where nobody is known, and so nobody may.</param>
internal sealed class DumpFiles(DumpFinder finder, BlockingWork downloads, AuditLog? audit)
{
    private const string RetrySeconds = "5";

    public async Task SendAsync(HttpContext context, StoredFileKind kind)
    {
        if (await finder.FindEndedAsync(context).ConfigureAwait(false) is not var (catalog, dump))
            return;
        using var place = downloads.TryEnter();
        if (place is null)
        {
            context.Response.Headers.RetryAfter = RetrySeconds;
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "as many files are being sent as may be at one time").ConfigureAwait(false);
            return;
        }

        var entry = AuditEntry.Of("download.begun", context) with { Dump = dump.Manifest.Id };
        bool isRead = HttpMethods.IsGet(context.Request.Method);
        var opening = place.RunAsync(() => Open(catalog.Root, dump, kind, isRead ? entry : null));
        StoredFile? file;
        try
        {
            file = await opening.WaitAsync(DumpFinder.Patience, context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            _ = opening.ContinueWith(late => GiveUp(late.Result, isRead ? entry : null), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            if (e is TimeoutException)
                await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the dump directory, or the audit log, does not answer").ConfigureAwait(false);
            return;
        }
        catch (StorageException e)
        {
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, e.Message).ConfigureAwait(false);
            return;
        }

        if (file is null)
            await HttpProblem.WriteAsync(context, StatusCodes.Status404NotFound, $"dump {dump.Manifest.Id} has no {kind.ToString().ToLowerInvariant()} file").ConfigureAwait(false);
        else
            await SendAsync(context, dump.Manifest, file, kind, place, isRead ? entry : null).ConfigureAwait(false);
    }

    /// <summary>Nothing is sent that the audit log does not tell of.</summary>
    private StoredFile? Open(string root, CatalogedDump dump, StoredFileKind kind, AuditEntry? entry)
    {
        var file = StoredFile.Open(root, dump, kind);
        if (file is null || entry is null)
            return file;

        try
        {
            audit!.Write(entry, durable: false);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void GiveUp(StoredFile? file, AuditEntry? entry)
    {
        if (file is null)
            return;
        file.Dispose();
        if (entry is not null)
            audit!.Post(entry with { Event = "download.ended", Bytes = 0, Result = "the file could not be opened in time" });
    }

    private async Task SendAsync(HttpContext context, Manifest manifest, StoredFile file, StoredFileKind kind, BlockingWork.Place place, AuditEntry? entry)
    {
        // Not the hash: that is known only some time after the dump has ended, and a download that began before could not be continued.
        string tag = string.Create(CultureInfo.InvariantCulture, $"\"{manifest.Id}-{file.LengthBytes:x}-{file.ModifiedAt.Ticks:x}\"");
        if (kind == StoredFileKind.Vmcore && manifest.Sha256 is string sha256)
            context.Response.Headers["Repr-Digest"] = $"sha-256=:{Convert.ToBase64String(Convert.FromHexString(sha256))}:";
        // Another unit means nothing here. Source: RFC 9110, section 14.2.
        if (context.Request.Headers.Range is [string range] && !range.StartsWith("bytes=", StringComparison.OrdinalIgnoreCase))
            context.Request.Headers.Remove(HeaderNames.Range);
        var stream = new DownloadStream(file, place);
        string result = "interrupted";
        try
        {
            string type = kind == StoredFileKind.Info ? "text/plain; charset=utf-8" : "application/octet-stream";
            await Results.Stream(stream, type, file.Name, file.ModifiedAt, new EntityTagHeaderValue(tag), enableRangeProcessing: true).ExecuteAsync(context).ConfigureAwait(false);
            if (context.RequestAborted.IsCancellationRequested && stream.SentBytes < context.Response.ContentLength)
                result = "the reader has gone";
            else
                result = "sent";
        }
        catch (OperationCanceledException)
        {
            result = "the reader has gone";
            throw;
        }
        catch (IOException e)
        {
            result = e.Message;
            throw;
        }
        finally
        {
            stream.Dispose();
            if (entry is not null)
                audit!.Post(entry with { Event = "download.ended", Status = context.Response.StatusCode, Bytes = stream.SentBytes, Result = result });
        }
    }
}
