using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Http;

/// <summary>Server-sent events: what happens as CloudEvents, and each second how far the sessions are.</summary>
/// <remarks>Source: WHATWG HTML, "Server-sent events". A reader that does not keep up misses events; the sessions are told of anew each second.</remarks>
internal sealed class EventStream(SessionRows rows, EventFeed feed, string? node, string source, CancellationToken stopping)
{
    private const int Capacity = 256;
    private const int MaxReaders = 16;

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);
    private static readonly JsonSerializerOptions s_oneLine = new(JsonText.Indented) { WriteIndented = false };

    private int _readers;

    public async Task WriteAsync(HttpContext context)
    {
        context.Response.ContentType = "text/event-stream";
        if (HttpMethods.IsHead(context.Request.Method))
            return;
        if (Interlocked.Increment(ref _readers) > MaxReaders)
        {
            Interlocked.Decrement(ref _readers);
            await HttpProblem.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "as many listen to events as may at one time").ConfigureAwait(false);
            return;
        }

        using var subscription = feed.Subscribe(Capacity, ofFleet: true);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            while (!ended.IsCancellationRequested)
            {
                await SendSessionsAsync(context.Response, ended.Token).ConfigureAwait(false);
                await PassOnAsync(context, subscription.Events, ended.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The reader has gone, or the server ends.
        }
        finally
        {
            Interlocked.Decrement(ref _readers);
        }
    }

    private async Task SendSessionsAsync(HttpResponse response, CancellationToken ended)
    {
        await response.WriteAsync("event: sessions\ndata: ", ended).ConfigureAwait(false);
        await JsonSerializer.SerializeAsync(response.Body, await rows.ReadAsync().ConfigureAwait(false), s_oneLine, ended).ConfigureAwait(false);
        await response.WriteAsync("\n\n", ended).ConfigureAwait(false);
        await response.Body.FlushAsync(ended).ConfigureAwait(false);
    }

    /// <summary>Sends what happens until the next look at the sessions is due.</summary>
    private async Task PassOnAsync(HttpContext context, ChannelReader<CollectorEvent> events, CancellationToken ended)
    {
        using var due = CancellationTokenSource.CreateLinkedTokenSource(ended);
        due.CancelAfter(s_interval);
        try
        {
            await foreach (var what in events.ReadAllAsync(due.Token).ConfigureAwait(false))
            {
                await context.Response.WriteAsync($"event: {what.Type}\ndata: {(what is ElsewhereHappened elsewhere ? elsewhere.Json : Encoding.UTF8.GetString(CloudEvent.ToJson(what, source, node)))}\n\n", ended).ConfigureAwait(false);
                await context.Response.Body.FlushAsync(ended).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!ended.IsCancellationRequested)
        {
            // It is due.
        }
    }
}
