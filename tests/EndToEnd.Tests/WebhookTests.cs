using System.Collections.Concurrent;
using System.Net;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class WebhookTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Start_and_end_of_a_dump_are_posted_as_signed_CloudEvents()
    {
        File.WriteAllText(_temp.File("secret"), "word\n");
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 web1\n");
        using var receiver = new Receiver(FreeTcpPort());
        receiver.Start();
        await using var collector = await Collector.StartAsync(Dumps, "--webhook", receiver.Url, "--webhook-secret", _temp.File("secret"), "--hosts", _temp.File("hosts"));

        (await SendAsync(collector, "--synthetic", "1M", "--panic", "lost \"page\"")).Expect(0);
        var (started, ended) = (await receiver.GetsAsync(0), await receiver.GetsAsync(1));

        var dump = Assert.Single(collector.Dumps);
        foreach (var (request, type) in new[] { (started, "netdump-collector.dump.started"), (ended, "netdump-collector.dump.completed") })
        {
            Assert.Equal("application/cloudevents+json; charset=utf-8", request.ContentType);
            Assert.Equal($"sha256={Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes("word"), request.Body))}", request.Signature);
            Assert.Equal("1.0", request.Json.GetProperty("specversion").GetString());
            Assert.Equal(type, request.Json.GetProperty("type").GetString());
            Assert.Equal(dump.Manifest.Id, request.Json.GetProperty("subject").GetString());
            Assert.Equal($"/netdump-collector/{Environment.MachineName}", request.Json.GetProperty("source").GetString());
            Assert.Equal("web1", request.Json.GetProperty("data").GetProperty("host").GetString());
            Assert.Equal(dump.Manifest.Client, request.Json.GetProperty("data").GetProperty("client").GetString());
        }

        Assert.NotEqual(started.Json.GetProperty("id").GetString(), ended.Json.GetProperty("id").GetString());
        Assert.Equal(dump.Manifest.EndedAt.UtcDateTime, ended.Json.GetProperty("time").GetDateTime());
        Assert.Equal("complete", ended.Json.GetProperty("data").GetProperty("status").GetString());
        Assert.Equal("lost \"page\"", ended.Json.GetProperty("data").GetProperty("panic").GetString());
        Assert.Equal("vmcore.web1.0", ended.Json.GetProperty("data").GetProperty("file").GetString());
        Assert.Equal(dump.Manifest.Bytes, ended.Json.GetProperty("data").GetProperty("bytes").GetUInt64());
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_receiver_that_is_away_gets_everything_in_order_when_it_is_back_and_no_dump_waits_for_it()
    {
        using var receiver = new Receiver(FreeTcpPort());
        await using var collector = await Collector.StartAsync(Dumps, "--webhook", receiver.Url);

        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);
        await collector.PrintsAsync($"warning: Webhook {receiver.Authority}: ");
        receiver.Start();

        Assert.Equal("netdump-collector.dump.started", (await receiver.GetsAsync(0)).Json.GetProperty("type").GetString());
        Assert.Equal("netdump-collector.dump.completed", (await receiver.GetsAsync(1)).Json.GetProperty("type").GetString());
        await collector.PrintsAsync($"Webhook {receiver.Authority} takes events again");
        await collector.StopAsync();
    }

    [Fact]
    public async Task An_event_is_repeated_with_its_id_until_it_is_taken_and_given_up_where_it_is_refused()
    {
        using var receiver = new Receiver(FreeTcpPort(), 503, 204, 400, 204);
        receiver.Start();
        await using var collector = await Collector.StartAsync(Dumps, "--webhook", receiver.Url);

        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);
        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);

        string[] types = new string[5];
        string[] ids = new string[5];
        for (int i = 0; i < types.Length; i++)
        {
            var json = (await receiver.GetsAsync(i)).Json;
            (types[i], ids[i]) = (json.GetProperty("type").GetString()!, json.GetProperty("id").GetString()!);
        }

        Assert.Equal(["started", "started", "completed", "started", "completed"], types.Select(type => type["netdump-collector.dump.".Length..]));
        Assert.Equal(ids[0], ids[1]);
        Assert.Equal(4, ids.Distinct().Count());
        await collector.StopAsync();
    }

    [Fact]
    public async Task Many_dumps_at_once_are_a_storm_that_is_told_of_once()
    {
        using var receiver = new Receiver(FreeTcpPort());
        receiver.Start();
        await using var collector = await Collector.StartAsync(Dumps, "--webhook", receiver.Url);

        (await SendAsync(collector, "--synthetic", "1M", "--clients", "25")).Expect(0);

        await receiver.GetsAsync(50);
        var storm = Assert.Single(receiver.Requests, request => request.Json.GetProperty("type").GetString() == "netdump-collector.storm.detected");
        Assert.Equal(10, storm.Json.GetProperty("data").GetProperty("dumps").GetInt32());
        Assert.False(storm.Json.TryGetProperty("subject", out _));
        await collector.StopAsync();
    }

    [Theory]
    [InlineData(null, "No such file or directory")]
    [InlineData("\n", "is empty")]
    public async Task Without_its_secret_the_server_does_not_start(string? secret, string problem)
    {
        if (secret is not null)
            File.WriteAllText(_temp.File("secret"), secret);

        var result = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", Dumps, "--webhook", "http://127.0.0.1:1/", "--webhook-secret", _temp.File("secret"));

        result.Expect(3);
        Assert.Contains($"webhook secret {_temp.File("secret")}: ", result.Error, StringComparison.Ordinal);
        Assert.Contains(problem, result.Error, StringComparison.Ordinal);
    }

    private static Task<CommandResult> SendAsync(Collector collector, params string[] options) => Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), .. options]);

    private static int FreeTcpPort()
    {
        using var probe = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private sealed record Request(string? ContentType, string? Signature, byte[] Body)
    {
        public JsonElement Json { get; } = JsonDocument.Parse(Body).RootElement;
    }

    /// <summary>Answers with the given codes in turn, then with 204, once it is started.</summary>
    private sealed class Receiver(int port, params int[] answers) : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly ConcurrentQueue<Request> _requests = new();
        private readonly Queue<int> _answers = new(answers);

        public string Authority { get; } = $"http://127.0.0.1:{port}";

        public string Url => $"{Authority}/hook";

        public IReadOnlyCollection<Request> Requests => _requests;

        public void Start()
        {
            _listener.Prefixes.Add($"http://127.0.0.1:{port}/");
            _listener.Start();
            _ = Task.Run(ReceiveAsync);
        }

        public async Task<Request> GetsAsync(int number)
        {
            await Eventually.Holds(() => _requests.Count > number, $"{number + 1} requests, now {_requests.Count}");
            return _requests.ElementAt(number);
        }

        public void Dispose() => _listener.Close();

        private async Task ReceiveAsync()
        {
            try
            {
                while (true)
                {
                    var context = await _listener.GetContextAsync();
                    using var body = new MemoryStream();
                    await context.Request.InputStream.CopyToAsync(body);
                    // Answered first: who has seen the request may end the listener.
                    context.Response.StatusCode = _answers.TryDequeue(out int answer) ? answer : 204;
                    context.Response.Close();
                    _requests.Enqueue(new(context.Request.ContentType, context.Request.Headers["X-Netdump-Signature-256"], body.ToArray()));
                }
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
            }
        }
    }
}
