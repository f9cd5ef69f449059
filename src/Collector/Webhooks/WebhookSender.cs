using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>Posts each event to the operator's receiver, one after the other, and again while that does not take it.</summary>
/// <remarks>
/// Runs on the thread pool, where no data path work is. Events wait in a bounded queue; those that find it full are missed and counted, so a dead receiver costs memory for so many events and nothing else.
/// </remarks>
internal sealed class WebhookSender : IDisposable
{
    public const string SignatureHeader = "X-Netdump-Signature-256";

    /// <summary>Events that may wait.</summary>
    public const int Capacity = 1000;

    private static readonly TimeSpan s_attemptTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_firstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromMinutes(1);

    /// <summary>An event that nobody took in so long after it happened is given up; one that has waited longer than that behind others is posted once.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    private readonly CancellationTokenSource _ended = new();
    private readonly HttpClient _http;
    private readonly WebhookTarget _target;
    private readonly EventSubscription _events;
    private readonly CollectorMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly string _receiver;
    private bool _isFailing;

    /// <param name="target">Who is told.</param>
    /// <param name="events">What he is told of, from when it was subscribed to; it outlives the sender.</param>
    /// <param name="metrics">What became of each event.</param>
    /// <param name="time">The clock that events were published by.</param>
    /// <param name="log">Told when the receiver begins to fail, and when it works again.</param>
    /// <param name="handler">Sends the requests; it is disposed of with the sender.</param>
    public WebhookSender(WebhookTarget target, EventSubscription events, CollectorMetrics metrics, TimeProvider time, ILogger log, HttpMessageHandler handler)
    {
        _target = target;
        // Path and query of some receivers are their secret.
        _receiver = target.Url.GetLeftPart(UriPartial.Authority);
        _metrics = metrics;
        _time = time;
        _log = log;
        _http = new(handler) { Timeout = s_attemptTimeout };
        _events = events;
        _ = Task.Run(RunAsync).ContinueWith(failed => CollectorLog.ActorFailed(log, "webhook", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }

    /// <summary>Requests as they are meant to be sent: a receiver that sends elsewhere is not what the operator named.</summary>
    public static HttpMessageHandler Handler() => new SocketsHttpHandler { AllowAutoRedirect = false };

    public void Dispose()
    {
        _ended.Cancel();
        _http.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            await foreach (var what in _events.Events.ReadAllAsync(_ended.Token).ConfigureAwait(false))
                _metrics.WebhookEnded(await DeliverAsync(what).ConfigureAwait(false));
        }
        catch (Exception) when (_ended.IsCancellationRequested)
        {
            // What is being posted when the server ends fails in one way or another.
        }
    }

    private async Task<WebhookOutcome> DeliverAsync(CollectorEvent what)
    {
        byte[] body = CloudEvent.ToJson(what, _target.Source);
        for (var pause = s_firstPause; ; pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause)
        {
            var (status, problem) = await PostAsync(body).ConfigureAwait(false);
            if (problem is null)
            {
                if (_isFailing)
                    CollectorLog.WebhookWorksAgain(_log, _receiver);
                _isFailing = false;
                return WebhookOutcome.Delivered;
            }

            // A redirection leads to where the operator did not point.
            bool isFinal = status is >= (HttpStatusCode)300 and < (HttpStatusCode)500 and not (HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests);
            if (!_isFailing)
                CollectorLog.WebhookFails(_log, _receiver, problem, isFinal ? "the event is not posted again" : "each event is posted again until 10 minutes after it happened, up to 1000 wait");
            _isFailing = true;
            if (isFinal || _time.GetElapsedTime(what.Timestamp) + pause > s_patience)
                return WebhookOutcome.GivenUp;
            await Task.Delay(pause, _time, _ended.Token).ConfigureAwait(false);
        }
    }

    /// <returns>What the receiver answered, if anything, and what was wrong with that, or null.</returns>
    private async Task<(HttpStatusCode? Status, string? Problem)> PostAsync(byte[] body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, _target.Url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(CloudEvent.ContentType) { CharSet = "utf-8" };
        if (_target.Secret is { } secret)
            request.Headers.Add(SignatureHeader, $"sha256={Convert.ToHexStringLower(HMACSHA256.HashData(secret, body))}");
        try
        {
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, _ended.Token).ConfigureAwait(false);
            return (response.StatusCode, response.IsSuccessStatusCode ? null : string.Create(CultureInfo.InvariantCulture, $"it answered {(int)response.StatusCode}"));
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException && !_ended.IsCancellationRequested)
        {
            return (null, e.Message);
        }
    }
}
