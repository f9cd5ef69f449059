using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Files;

/// <summary>Deletes, pins and unpins dumps by the rules of the commands; the audit log is told before anything is done.</summary>
/// <param name="finder">Finds the dump.</param>
/// <param name="catalog">Forgets what was before.</param>
/// <param name="work">The threads that do it.</param>
/// <param name="audit">Told of each; null where nobody is known, and so nobody may.</param>
/// <param name="needs">As for <see cref="RetentionCandidate.Of"/>.</param>
/// <param name="log">The log.</param>
internal sealed class DumpChanges(DumpFinder finder, RecentCatalog catalog, BlockingWork work, AuditLog? audit, DumpNeeds needs, ILogger log)
{
    /// <summary>A deletion waits for others in its directory, and for the device.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <summary>How a change ended: no words where it is as was asked for.</summary>
    private readonly record struct Outcome(int Status, string? Words);

    public Task DeleteAsync(HttpContext context) => ChangeAsync(context, (read, dump) => Delete(read, dump, Caller.Of(context)));

    public Task PinAsync(HttpContext context) => ChangeAsync(context, (_, dump) => Pin(dump, pinned: true));

    public Task UnpinAsync(HttpContext context) => ChangeAsync(context, (_, dump) => Pin(dump, pinned: false));

    private async Task ChangeAsync(HttpContext context, Func<DumpCatalog, CatalogedDump, Outcome> change)
    {
        if (await finder.FindEndedAsync(context).ConfigureAwait(false) is not var (read, dump))
            return;
        using var place = work.TryEnter();
        if (place is null)
        {
            context.Response.Headers.RetryAfter = "5";
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "as many changes are under way as may be at one time").ConfigureAwait(false);
            return;
        }

        var attempt = AuditEntry.Of("change.attempted", context) with { Dump = dump.Manifest.Id };
        Outcome outcome;
        try
        {
            // Who asked may go; the change is carried out all the same.
            outcome = await place.RunAsync(() => Carry(attempt, () => change(read, dump))).WaitAsync(s_patience).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            outcome = new(StatusCodes.Status503ServiceUnavailable, $"not done within {s_patience.TotalSeconds} s, and perhaps later; the audit log tells");
        }

        if (outcome.Words is string words)
            await HttpProblem.WriteAsync(context, outcome.Status, words).ConfigureAwait(false);
        else
            context.Response.StatusCode = outcome.Status;
    }

    private Outcome Carry(AuditEntry attempt, Func<Outcome> change)
    {
        try
        {
            audit!.Write(attempt, durable: true);
        }
        catch (StorageException e)
        {
            return new(StatusCodes.Status503ServiceUnavailable, $"not done, because the audit log cannot be written: {e.Message}");
        }

        Outcome outcome;
        try
        {
            outcome = change();
        }
        catch (StorageException e)
        {
            outcome = new(StatusCodes.Status500InternalServerError, e.Message);
        }

        catalog.Forget();
        audit.Post(attempt with { Event = "change.ended", Status = outcome.Status, Result = outcome.Words ?? "done" });
        return outcome;
    }

    private Outcome Delete(DumpCatalog read, CatalogedDump dump, Caller caller)
    {
        var now = TimeProvider.System.GetUtcNow();
        var all = RetentionCandidate.Of(read, now, needs);
        var candidate = all.First(candidate => candidate.Dump == dump);
        if (RetentionPlanner.ProtectionOf(candidate, all) is string protection)
            return new(StatusCodes.Status409Conflict, $"{dump.Name} ({dump.Manifest.Id}) {protection}");
        if (!DumpRetention.Remove(candidate, RetentionPlanner.NewestCompleteOf(dump.Manifest.Host, all), now, needs))
            return Gone(dump) ?? new(StatusCodes.Status409Conflict, $"{dump.Name} ({dump.Manifest.Id}) has been pinned meanwhile, or is used, or is kept because a newer one has been deleted");
        CollectorLog.Deleted(log, Path.GetRelativePath(read.Root, dump.VmcorePath), dump.Manifest.Id, candidate.Bytes, $"{caller.Name} asked for it over HTTP");
        return new(StatusCodes.Status204NoContent, null);
    }

    private static Outcome Pin(CatalogedDump dump, bool pinned)
    {
        if (Gone(dump) is { } gone)
            return gone;
        DumpPin.Set(dump, pinned);
        return new(StatusCodes.Status204NoContent, null);
    }

    private static Outcome? Gone(CatalogedDump dump) =>
        File.Exists(dump.ManifestPath) ? null : new(StatusCodes.Status404NotFound, $"dump {dump.Manifest.Id} has been deleted meanwhile");
}
