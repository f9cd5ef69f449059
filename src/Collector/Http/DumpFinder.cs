using Microsoft.AspNetCore.Http;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Http;

/// <summary>A dump that a request names.</summary>
/// <param name="Catalog">Where it was found.</param>
/// <param name="Ended">It has ended, and this is it; else null.</param>
/// <param name="Running">It has not ended; else null.</param>
/// <param name="Elsewhere">It has ended, and another node of the fleet has it; else null.</param>
internal sealed record FoundDump(DumpCatalog Catalog, CatalogedDump? Ended, RunningDump? Running, FleetDump? Elsewhere = null);

/// <summary>A dump that has not ended; its JSON is a published format.</summary>
/// <param name="Id">Its id, which it keeps.</param>
/// <param name="Client">The client's address.</param>
/// <param name="StartedAt">When its herald came, UTC.</param>
/// <param name="Status">receiving, or interrupted where no server receives it now.</param>
/// <param name="Bytes">Length of its file so far.</param>
/// <param name="File">Path of its data from the dump directory.</param>
/// <param name="Session">The session it arrives by, null where there is none here.</param>
internal sealed record RunningDump(string Id, string Client, DateTime StartedAt, string Status, long Bytes, string File, SessionRow? Session);

/// <summary>Finds the dump that a request names.</summary>
internal sealed class DumpFinder(LiveState live, RecentCatalog catalog, FleetView? fleet)
{
    private const int MaxCandidates = 20;

    /// <summary>A dump directory that takes longer hangs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>The dump directory; null where it cannot be read, which has been answered then.</summary>
    public async Task<DumpCatalog?> ReadAsync(HttpContext context)
    {
        try
        {
            return await catalog.ReadAsync().WaitAsync(Patience, context.RequestAborted).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the dump directory does not answer").ConfigureAwait(false);
            return null;
        }
        catch (StorageException e)
        {
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, e.Message).ConfigureAwait(false);
            return null;
        }
    }

    /// <summary>The dump of the route's <c>id</c>: a whole id, else <c>HOST.N</c>, else the start of an id; null where it means none or several, which has been answered then.</summary>
    public async Task<FoundDump?> FindAsync(HttpContext context)
    {
        string key = (string)context.Request.RouteValues["id"]!;
        if (await ReadAsync(context).ConfigureAwait(false) is not { } read)
            return null;
        var ended = read.Find(key);
        // One that has just begun is not in a directory that was read before.
        RunningDump[] running = [.. RunningOf(read, await live.SessionsAsync().ConfigureAwait(false), key)];
        RunningDump? exact = running.FirstOrDefault(dump => dump.Id == key);
        if (exact is not null && ended.All(dump => dump.Manifest.Id != key))
            return new(read, null, exact);
        // The start of ids may mean both; anything else that was found is meant.
        bool isStart = key.Length > 0 && ended.All(dump => dump.Manifest.Id != key && dump.Name != key);
        if (!isStart)
            running = [];
        IReadOnlyList<FleetDump> elsewhere = fleet is null || key.Length == 0 || (!isStart && ended.Count > 0) ? [] : await fleet.FindAsync(key, context.RequestAborted).ConfigureAwait(false);
        switch (ended.Count + running.Length + elsewhere.Count)
        {
            case 1 when elsewhere.Count == 1:
                return new(read, null, null, elsewhere[0]);
            case 1:
                return ended.Count == 1 ? new(read, ended[0], null) : new(read, null, running[0]);
            case 0:
                await HttpProblem.WriteAsync(context, StatusCodes.Status404NotFound, $"no dump \"{key}\"").ConfigureAwait(false);
                return null;
            default:
                string[] candidates = [.. ended.Select(dump => dump.Manifest.Id), .. running.Select(dump => dump.Id), .. elsewhere.Select(dump => dump.Id)];
                await ApiEndpoints.WriteAsync(context, StatusCodes.Status409Conflict, new { error = $"\"{key}\" means {candidates.Length} dumps", candidates = candidates.Take(MaxCandidates) }).ConfigureAwait(false);
                return null;
        }
    }

    /// <summary>As <see cref="FindAsync"/>, and one that has not ended is answered as a conflict; who asks for one of another node is sent there.</summary>
    public async Task<(DumpCatalog Catalog, CatalogedDump Dump)?> FindEndedAsync(HttpContext context)
    {
        if (await FindAsync(context).ConfigureAwait(false) is not { } found)
            return null;
        if (found.Ended is { } ended)
            return (found.Catalog, ended);
        if (found.Elsewhere is { } elsewhere)
        {
            await SendElsewhereAsync(context, elsewhere).ConfigureAwait(false);
            return null;
        }

        await HttpProblem.WriteAsync(context, StatusCodes.Status409Conflict, $"dump {found.Running!.Id} has not ended: {found.Running.Status}").ConfigureAwait(false);
        return null;
    }

    /// <summary>The same request to the node that has the dump. Its tokens are its own: whoever follows has to show one there.</summary>
    private Task SendElsewhereAsync(HttpContext context, FleetDump dump)
    {
        context.Response.Headers[FleetView.NodeHeader] = dump.Node;
        string? url = fleet!.UrlOf(dump);
        string words = url is not null ? $"dump {dump.Id} lies on node {dump.Node}, at {url}"
            : dump.Path is null ? $"dump {dump.Id} lies in the object store only, at {dump.Url}"
            : $"dump {dump.Id} lies on node {dump.Node}, which does not live now or does not say where its HTTP is reached (--http, --node-url)";
        if (url is not null)
            context.Response.Headers.Location = url + context.Request.Path.ToUriComponent() + context.Request.QueryString.ToUriComponent();
        return ApiEndpoints.WriteAsync(context, url is null ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status307TemporaryRedirect, new { error = words, node = dump.Node, url = url ?? dump.Url });
    }

    /// <summary>Those whose id begins with <paramref name="start"/>.</summary>
    private static IEnumerable<RunningDump> RunningOf(DumpCatalog read, IReadOnlyList<SessionStatus> all, string start)
    {
        var sessions = all.Where(session => session.DumpId is not null).ToLookup(session => session.DumpId);
        var running = read.Partials.Where(partial => partial.Opened is not null).Select(partial => new RunningDump(
            partial.Opened!.Identity.Id, partial.Opened.Identity.Client.ToString(), partial.Opened.Identity.StartedAt.UtcDateTime, DumpList.StatusOf(partial), partial.LengthBytes,
            Path.GetRelativePath(read.Root, partial.Path), sessions[partial.Opened.Identity.Id].Select(SessionRow.Of).FirstOrDefault()));
        var begun = sessions.SelectMany(same => same).Where(session => session.File is not null).Select(session => new RunningDump(
            session.DumpId!, session.Client.ToString(), session.StartedAt.UtcDateTime, DumpList.Receiving, (long)session.CoveredBytes, Path.GetRelativePath(read.Root, session.File!), SessionRow.Of(session)));
        return running.Concat(begun).Where(dump => dump.Id.StartsWith(start, StringComparison.Ordinal)).DistinctBy(dump => dump.Id).Where(dump => read.Dumps.All(ended => ended.Manifest.Id != dump.Id));
    }
}
