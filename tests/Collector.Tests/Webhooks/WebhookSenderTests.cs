using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Tests.Webhooks;

public sealed class WebhookSenderTests : IDisposable
{
    private readonly ManualTimeProvider _time = new();
    private readonly CollectorMetrics _metrics;
    private readonly EventSubscription _events;
    private readonly Receiver _receiver = new();
    private WebhookSender? _sender;

    public WebhookSenderTests()
    {
        _metrics = new(_time);
        _events = _metrics.Events.Subscribe(WebhookSender.Capacity);
    }

    public void Dispose()
    {
        _sender?.Dispose();
        _events.Dispose();
        _metrics.Dispose();
    }

    [Fact]
    public async Task What_happened_before_it_began_is_posted_in_order()
    {
        Publish("a", "b");
        Begin();
        Publish("c");

        await DeliveredAsync(3);
        Assert.Equal(["a", "b", "c"], _receiver.Subjects);
    }

    [Fact]
    public async Task The_pause_before_each_repetition_is_twice_as_long_up_to_a_minute_and_ten_minutes_after_the_event_it_is_given_up()
    {
        _receiver.Answer = _ => HttpStatusCode.ServiceUnavailable;
        Begin();
        Publish("a");

        var pauses = new List<double>();
        while (await NextPauseAsync(givenUp: 1) is TimeSpan pause)
        {
            pauses.Add(pause.TotalSeconds);
            _time.Advance(pause);
        }

        Assert.Equal([1, 2, 4, 8, 16, 32, .. Enumerable.Repeat(60.0, 8)], pauses);
        Assert.Equal(pauses.Count + 1, _receiver.Subjects.Count);
        Assert.Single(_receiver.Ids.Distinct());
    }

    [Fact]
    public async Task The_ten_minutes_count_from_when_the_event_happened_and_each_is_posted_once_at_least()
    {
        _receiver.Answer = _ => HttpStatusCode.BadGateway;
        Begin();
        Publish("a");
        _time.Advance(await PauseAsync());
        Publish("b");
        // Its turn comes when the first is given up, and its own ten minutes are over a second later.
        while (_receiver.Subjects.All(subject => subject == "a"))
        {
            if (await NextPauseAsync(givenUp: 1) is TimeSpan pause)
                _time.Advance(pause);
            else
                await Eventually.Holds(() => _receiver.Subjects.Contains("b"), "the second is posted");
        }

        while (await NextPauseAsync(givenUp: 2) is TimeSpan pause)
            _time.Advance(pause);

        Assert.Equal(6, _receiver.Subjects.Count(subject => subject == "b"));
        Assert.Equal(2, _metrics.WebhookEvents(WebhookOutcome.GivenUp));
    }

    [Fact]
    public async Task An_event_older_than_ten_minutes_is_posted_once()
    {
        Publish("a");
        _time.Advance(TimeSpan.FromHours(1));
        Begin();

        await DeliveredAsync(1);
        Assert.Equal(["a"], _receiver.Subjects);
    }

    [Theory]
    [InlineData(HttpStatusCode.Found)]
    [InlineData(HttpStatusCode.BadRequest)]
    [InlineData(HttpStatusCode.Unauthorized)]
    [InlineData(HttpStatusCode.Gone)]
    public async Task A_refusal_is_final(HttpStatusCode answer)
    {
        _receiver.Answer = number => number == 0 ? answer : HttpStatusCode.NoContent;
        Begin();
        Publish("a", "b");

        await DeliveredAsync(1);
        Assert.Equal(["a", "b"], _receiver.Subjects);
        Assert.Equal(1, _metrics.WebhookEvents(WebhookOutcome.GivenUp));
    }

    [Theory]
    [InlineData(HttpStatusCode.RequestTimeout)]
    [InlineData(HttpStatusCode.TooManyRequests)]
    [InlineData(HttpStatusCode.InternalServerError)]
    [InlineData(null)]
    public async Task What_may_pass_is_tried_again_and_the_next_event_waits(HttpStatusCode? answer)
    {
        _receiver.Answer = number => number == 0 ? answer : HttpStatusCode.OK;
        Begin();
        Publish("a", "b");
        _time.Advance(await PauseAsync());

        await DeliveredAsync(2);
        Assert.Equal(["a", "a", "b"], _receiver.Subjects);
    }

    [Fact]
    public async Task A_thousand_events_wait_for_a_receiver_that_does_not_answer_and_more_are_missed()
    {
        using var answers = new ManualResetEventSlim();
        _receiver.Answer = _ =>
        {
            answers.Wait(Eventually.Deadline);
            return HttpStatusCode.NoContent;
        };
        Begin();
        Publish("first");
        await Eventually.Holds(() => _receiver.Subjects.Count == 1, "the first is being posted");
        Publish([.. Enumerable.Range(0, WebhookSender.Capacity + 7).Select(number => $"{number}")]);

        Assert.Equal(7, _metrics.Events.Missed);
        answers.Set();
        await DeliveredAsync(WebhookSender.Capacity + 1);
        Assert.Equal(["first", .. Enumerable.Range(0, WebhookSender.Capacity).Select(number => $"{number}")], _receiver.Subjects);
    }

    [Fact]
    public async Task The_signature_is_made_with_the_secrets_bytes()
    {
        byte[] secret = [0, 0xff, 10, 0x80];
        Begin(secret);
        Publish("a");

        await DeliveredAsync(1);
        var (body, signature) = Assert.Single(_receiver.Signed);
        Assert.Equal($"sha256={Convert.ToHexStringLower(HMACSHA256.HashData(secret, body))}", signature);
    }

    private void Begin(byte[]? secret = null) =>
        _sender = new(new(new("http://receiver.example/hook"), secret, "/test"), _events, _metrics, _time, NullLogger.Instance, _receiver);

    private void Publish(params string[] ids)
    {
        foreach (string id in ids)
            _metrics.Events.Publish(new DumpEnded(DateTimeOffset.UnixEpoch, id, new(0x7f000001), "host", Protocol.DumpStatus.Complete, Protocol.EndReason.Finished, 1, 0, null, "file", 1));
    }

    private Task DeliveredAsync(int count) => Eventually.Holds(() => _metrics.WebhookEvents(WebhookOutcome.Delivered) == count, $"{count} events are delivered");

    private async Task<TimeSpan> PauseAsync()
    {
        await Eventually.Holds(() => _time.NextDueIn is not null, "the sender pauses");
        return _time.NextDueIn!.Value;
    }

    /// <summary>The pause that the sender makes; null when it has given so many events up instead.</summary>
    private async Task<TimeSpan?> NextPauseAsync(int givenUp)
    {
        await Eventually.Holds(() => _time.NextDueIn is not null || _metrics.WebhookEvents(WebhookOutcome.GivenUp) >= givenUp, "the sender pauses or gives up");
        return _metrics.WebhookEvents(WebhookOutcome.GivenUp) >= givenUp ? null : _time.NextDueIn;
    }

    /// <summary>Answers requests in memory; null is a connection that breaks.</summary>
    private sealed class Receiver : HttpMessageHandler
    {
        private readonly ConcurrentQueue<(byte[] Body, string? Signature)> _requests = new();

        public Func<int, HttpStatusCode?> Answer { get; set; } = _ => HttpStatusCode.NoContent;

        public IReadOnlyList<(byte[] Body, string? Signature)> Signed => [.. _requests];

        public IReadOnlyList<string> Subjects => [.. _requests.Select(request => PropertyOf(request.Body, "subject"))];

        public IReadOnlyList<string> Ids => [.. _requests.Select(request => PropertyOf(request.Body, "id"))];

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            int number = _requests.Count;
            string? signature = request.Headers.TryGetValues(WebhookSender.SignatureHeader, out var values) ? values.Single() : null;
            _requests.Enqueue((await request.Content!.ReadAsByteArrayAsync(cancellationToken), signature));
            return Answer(number) is HttpStatusCode status ? new(status) : throw new HttpRequestException("the connection broke");
        }

        private static string PropertyOf(byte[] body, string name) => JsonDocument.Parse(body).RootElement.GetProperty(name).GetString()!;
    }
}
