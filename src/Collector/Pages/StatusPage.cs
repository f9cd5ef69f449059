using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Pages.Components;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Pages;

/// <summary>Looks at what the pages show and renders them.</summary>
/// <remarks>What may hang is waited for with patience, each part by itself: the page then says so instead of it.</remarks>
/// <param name="directory">The dump directory.</param>
/// <param name="minFree">What has to stay free there.</param>
/// <param name="hasTokens">Who has a token for it can fetch dumps over HTTP.</param>
/// <param name="sessions">Who is dumping.</param>
/// <param name="dumps">What is in the directory.</param>
/// <param name="readiness">Whether dumps would be taken.</param>
/// <param name="metrics">How much room there is, and for how long.</param>
/// <param name="fleet">The other nodes; null without a fleet.</param>
/// <param name="time">The clock.</param>
internal sealed class StatusPage(
    string directory, MinFree minFree, bool hasTokens, SessionBoard sessions, DumpBoard dumps, Readiness readiness, CollectorMetrics metrics, FleetView? fleet, TimeProvider time)
{
    private const int SessionsPerPage = 100;
    private const int DumpsPerPage = 50;

    private static readonly Lazy<DateTimeOffset> s_startedAt = new(() => System.Diagnostics.Process.GetCurrentProcess().StartTime);

    /// <summary>The pages of a running server.</summary>
    public static StatusPage Of(CollectorSettings settings, Server server, SessionRows rows, RecentCatalog catalog, FleetView? fleet) => new(
        settings.Directory, settings.MinFree, settings.TokenFile is not null, new(async () => await rows.ReadAsync().ConfigureAwait(false), TimeProvider.System), new(catalog.ReadAsync, TimeProvider.System, fleet),
        server.Readiness, server.Metrics, fleet, TimeProvider.System);

    public async Task<RenderedPage> OverviewAsync()
    {
        var (collector, seen) = await LookAsync().ConfigureAwait(false);
        return await RenderAsync<OverviewPage>(collector, (nameof(OverviewPage.Dumps), seen), (nameof(OverviewPage.Room), Room())).ConfigureAwait(false);
    }

    public async Task<RenderedPage> SessionsAsync(int number)
    {
        var collector = await CollectorAsync().ConfigureAwait(false);
        return await RenderAsync<SessionsPage>(collector, (nameof(SessionsPage.Page), PageOf.Of(collector.Sessions.Sessions, number, SessionsPerPage))).ConfigureAwait(false);
    }

    public async Task<RenderedPage> DumpsAsync(DumpFilter filter, int number)
    {
        var (collector, seen) = await LookAsync().ConfigureAwait(false);
        var page = PageOf.Of([.. seen.Dumps.Where(filter.Matches)], number, DumpsPerPage);
        return await RenderAsync<DumpsPage>(collector, (nameof(DumpsPage.Dumps), seen), (nameof(DumpsPage.Filter), filter), (nameof(DumpsPage.Page), page)).ConfigureAwait(false);
    }

    public async Task<RenderedPage> DumpAsync(string id)
    {
        var (collector, seen) = await LookAsync().ConfigureAwait(false);
        // It may have ended a moment ago.
        if (seen.Catalog?.Find(id) is not [_, ..])
            seen = await dumps.LookAsync(isUrgent: true).ConfigureAwait(false);
        var found = seen.Catalog?.Find(id) ?? [];
        if (found is [var dump])
            return await RenderAsync<DumpPage>(collector, (nameof(DumpPage.Dump), dump), (nameof(DumpPage.Problem), seen.Problem), (nameof(DumpPage.HasTokens), hasTokens)).ConfigureAwait(false);

        var partial = seen.Catalog?.Partials.FirstOrDefault(partial => partial.Opened?.Identity.Id == id);
        if (partial is not null)
            return await RenderAsync<UnendedDumpPage>(collector, (nameof(UnendedDumpPage.Dump), DumpView.Of(DumpList.RowOf(partial, seen.Catalog!.Root))), (nameof(UnendedDumpPage.Problem), seen.Problem)).ConfigureAwait(false);

        if (found.Count == 0 && fleet is not null && await fleet.FindAsync(id, CancellationToken.None).ConfigureAwait(false) is [var elsewhere])
            return await RenderAsync<ElsewherePage>(collector, (nameof(ElsewherePage.Dump), DumpView.Of(FleetView.RowOf(elsewhere))), (nameof(ElsewherePage.Url), fleet.UrlOf(elsewhere))).ConfigureAwait(false);

        string words = seen.Problem is string problem ? problem
            : found.Count == 0 ? $"There is no dump \"{id}\"; it may have been deleted."
            : $"\"{id}\" means {found.Count} dumps.";
        int status = seen.Problem is not null ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status404NotFound;
        return await RenderAsync<ProblemPage>(status, collector, (nameof(ProblemPage.Problem), words)).ConfigureAwait(false);
    }

    private async Task<(CollectorView Collector, DumpsView Dumps)> LookAsync()
    {
        var collector = CollectorAsync();
        var seen = dumps.LookAsync();
        return (await collector.ConfigureAwait(false), await seen.ConfigureAwait(false));
    }

    private async Task<CollectorView> CollectorAsync()
    {
        var obstacle = readiness.ObstacleAsync();
        var seen = await sessions.LookAsync().ConfigureAwait(false);
        return new(VersionAction.Text.Split('+')[0], Environment.MachineName, directory, s_startedAt.Value, time.GetUtcNow(), await obstacle.ConfigureAwait(false), seen, NodesView.Of(fleet));
    }

    private RoomView? Room() => metrics.Storage is not { } storage ? null
        : new(storage.FreeBytes, storage.TotalBytes, minFree.BytesOf(storage.TotalBytes), minFree.IsNone ? null : minFree.ToString(), storage.SecondsToFull);

    private static Task<RenderedPage> RenderAsync<TPage>(CollectorView collector, params (string Name, object? Value)[] parameters) where TPage : IComponent =>
        RenderAsync<TPage>(StatusCodes.Status200OK, collector, parameters);

    private static Task<RenderedPage> RenderAsync<TPage>(int status, CollectorView collector, params (string Name, object? Value)[] parameters) where TPage : IComponent
    {
        var all = parameters.ToDictionary(parameter => parameter.Name, parameter => parameter.Value);
        all.Add(nameof(PageFrame.Collector), collector);
        return PageRenderer.RenderAsync<TPage>(status, all);
    }
}
