using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What the running program answers to Prometheus and to load balancers.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class HttpTests : IDisposable
{
    private const string OpenMetrics = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new() { Timeout = CommandResult.Deadline };

    private string Dumps => _temp.File("dumps");

    public void Dispose()
    {
        _http.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public async Task Metrics_tell_what_was_received_and_what_became_of_it()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        (await SendAsync(collector, "--synthetic", "1M", "--clients", "3", "--kernel")).Expect(0);
        (await SendAsync(collector, "--synthetic", "1M", "--kernel", "--loss", "0.02")).Expect(0);

        var metrics = await MetricsAsync(collector);

        Assert.Equal(4, metrics["netdump_heralds_total{result=\"opened\"}"]);
        Assert.Equal(4, metrics["netdump_dumps_total{outcome=\"complete\"}"]);
        Assert.Equal(0, metrics["netdump_dumps_total{outcome=\"incomplete\"}"]);
        double stored = collector.Dumps.Sum(dump => (double)dump.Manifest.Bytes);
        Assert.Equal(stored, metrics["netdump_written_bytes_total"]);
        Assert.Equal(stored, metrics["netdump_acked_bytes_total"]);
        Assert.Equal(4, metrics["netdump_actors{actor=\"session\"}"]);
        Assert.Equal(0, metrics["netdump_actor_mailbox_length{actor=\"session\"}"]);
        Assert.InRange(metrics["netdump_actor_mailbox_peak_length{actor=\"commit\"}"], 1, 4);
        Assert.Equal(0, metrics["netdump_actor_mailbox_refused_messages_total{actor=\"ingress\"}"]);
        Assert.Equal(stored, metrics["netdump_dump_size_bytes_sum"]);
        Assert.Equal(4, metrics["netdump_dump_duration_seconds_count"]);
        Assert.InRange(metrics["netdump_received_bytes_total"], stored + 1, 2 * stored);
        Assert.InRange(metrics["netdump_repeated_packets_total"], 1, double.MaxValue);
        Assert.InRange(metrics["netdump_retransmitted_bursts_total"], 1, double.MaxValue);
        Assert.InRange(metrics["netdump_acks_held_total"], 1, double.MaxValue);
        Assert.InRange(metrics["netdump_burst_ack_duration_seconds_count"], 4 * 16, double.MaxValue);
        Assert.InRange(metrics["netdump_write_duration_seconds_count"], 4 * 16, double.MaxValue);
        Assert.InRange(metrics["netdump_sync_duration_seconds_count"], 4, double.MaxValue);
        Assert.Equal(4, metrics["netdump_sessions{phase=\"lingering\"}"]);
        Assert.Equal(0, metrics["netdump_sessions{phase=\"receiving\"}"]);
        Assert.InRange(metrics["netdump_loop_busy_time_seconds_total{loop=\"0\"}"] + metrics.GetValueOrDefault("netdump_loop_busy_time_seconds_total{loop=\"1\"}"), 0.0001, 60);
        Assert.InRange(metrics["netdump_storage_free_bytes"], 1, metrics["netdump_storage_size_bytes"]);
        Assert.InRange(metrics["process_open_fds"], 10, metrics["process_max_fds"]);
        Assert.InRange(metrics["process_resident_memory_bytes"], 1 << 20, 1 << 30);
        Assert.InRange(metrics["process_start_time_seconds"], DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 600, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1);
        Assert.Contains(metrics.Keys, name => name.StartsWith("dotnet_gc_collections_total{", StringComparison.Ordinal));
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_running_dump_and_refused_packets_are_seen()
    {
        ushort clientPort = Collector.FreePort();
        await using var collector = await Collector.StartAsync(Dumps, "--client-port", $"{clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        client.Herald();
        await ShowsAsync(collector, "netdump_sessions{phase=\"half_open\"}", 1);

        using (var stranger = new UdpClient())
            await stranger.SendAsync(new byte[5], collector.Address, collector.Port);

        await ShowsAsync(collector, "netdump_rejected_packets_total{reason=\"runt\"}", 1);
        await collector.StopAsync();
    }

    [Fact]
    public async Task What_the_kernel_drops_of_a_running_dump_is_seen_while_it_runs()
    {
        var dump = new TestDump(300_000);
        ushort clientPort = Collector.FreePort();
        await using var collector = await Collector.StartAsync(Dumps, "--client-port", $"{clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        client.Herald();
        client.SendBurst(dump);
        byte[][] burst = client.TakeBurst(dump);

        using (collector.Pause())
        {
            // More than a socket buffer of any size that this machine may allow.
            for (int round = 0; round < 500; round++)
            {
                foreach (byte[] message in burst)
                    client.Send(message);
            }
        }

        client.SendUntilAcked(burst);
        long start = Stopwatch.GetTimestamp();
        while ((await MetricsAsync(collector))["netdump_session_dropped_packets_total"] == 0)
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, "no drops are seen");
        Assert.Equal(1, (await MetricsAsync(collector))["netdump_sessions{phase=\"receiving\"}"]);
        await collector.StopAsync();
    }

    [PrometheusFact]
    public async Task Promtool_has_nothing_to_say_against_the_metrics()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        (await SendAsync(collector, "--synthetic", "1M", "--kernel")).Expect(0);
        string text = await _http.GetStringAsync(await MetricsUriAsync(collector));
        File.WriteAllText(_temp.File("metrics"), text);

        var check = await CommandResult.RunAsync("sh", ["-c", "promtool check metrics < \"$1\"", "sh", _temp.File("metrics")]);

        Assert.True(check.ExitCode == 0 && check.Output.Trim().Length == 0 && check.Error.Trim().Length == 0, $"exit code {check.ExitCode}\n{check.Output}{check.Error}");
        await collector.StopAsync();
    }

    [Fact]
    public async Task Who_wants_OpenMetrics_gets_it()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        using var request = new HttpRequestMessage(HttpMethod.Get, await MetricsUriAsync(collector));
        request.Headers.Add("Accept", OpenMetrics);

        using var response = await _http.SendAsync(request);

        Assert.Equal("application/openmetrics-text; version=1.0.0; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        string text = await response.Content.ReadAsStringAsync();
        Assert.EndsWith("\n# EOF\n", text, StringComparison.Ordinal);
        Assert.Contains("\n# UNIT netdump_received_bytes bytes\n", text, StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task It_is_healthy_and_ready_until_the_directory_is_not()
    {
        await using var collector = await Collector.StartAsync(Dumps, "--min-free", "1K");
        var uri = await collector.HttpAsync();
        Assert.Equal("ok\n", await _http.GetStringAsync(new Uri(uri, "/healthz")));
        Assert.Equal("ready\n", await _http.GetStringAsync(new Uri(uri, "/readyz")));

        Directory.Delete(Dumps);

        // A look at the directory counts for a second.
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        HttpResponseMessage response;
        while ((response = await _http.GetAsync(new Uri(uri, "/readyz"), timeUp.Token)).StatusCode == HttpStatusCode.OK)
            response.Dispose();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("is not writable", await response.Content.ReadAsStringAsync(timeUp.Token), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await _http.GetAsync(new Uri(uri, "/healthz"))).StatusCode);
    }

    [Fact]
    public async Task Without_headroom_it_is_not_ready()
    {
        await using var collector = await Collector.StartAsync(Dumps, "--min-free", "99%");

        using var response = await _http.GetAsync(new Uri(await collector.HttpAsync(), "/readyz"));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("--min-free 99%", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_taken_address_is_told_of_and_costs_no_dump()
    {
        string address = Collector.NewServerAddress();
        using var taken = new TcpListener(IPAddress.Parse(address), 0);
        taken.Start();
        await using var collector = await Collector.StartAsync(Dumps, "--http", taken.LocalEndpoint.ToString()!);
        await collector.PrintsAsync($"warning: No HTTP on {taken.LocalEndpoint}: ");

        (await SendAsync(collector, "--synthetic", "1M", "--kernel")).Expect(0);

        Assert.Single(collector.Dumps);
        await collector.StopAsync();
    }

    /// <summary>TEST-NET-1 is no machine's.</summary>
    [Fact]
    public async Task An_address_of_another_machine_is_told_of_and_costs_no_dump()
    {
        await using var collector = await Collector.StartAsync(Dumps, "--http", "192.0.2.1:9464");
        await collector.PrintsAsync("warning: No HTTP on 192.0.2.1:9464: ");

        (await SendAsync(collector, "--synthetic", "1M", "--kernel")).Expect(0);

        Assert.Single(collector.Dumps);
        await collector.StopAsync();
    }

    [Theory]
    [InlineData("0.0.0.0:0", true)]
    [InlineData("127.0.0.1:0", false)]
    [InlineData("[::1]:0", false)]
    public async Task Where_others_can_reach_it_a_warning_says_what_they_see(string binding, bool warns)
    {
        await using var collector = await Collector.StartAsync(Dumps, "--http", binding);
        await collector.PrintsAsync("Metrics and health on ");

        Assert.Equal(warns, collector.Output.Contains($"warning: HTTP on {binding} is not encrypted", StringComparison.Ordinal));
        await collector.StopAsync();
    }

    [Fact]
    public async Task Turned_off_it_opens_nothing()
    {
        await using var collector = await Collector.StartAsync(Dumps, "--http", "off");
        (await SendAsync(collector, "--synthetic", "1M", "--kernel")).Expect(0);

        var sockets = await CommandResult.RunAsync("sh", ["-c", $"ls -l /proc/{collector.ProcessId}/fd"]);
        Assert.DoesNotContain("Metrics and health", collector.Output, StringComparison.Ordinal);
        string[] listening = [.. File.ReadLines("/proc/net/tcp").Concat(File.ReadLines("/proc/net/tcp6")).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(fields => fields[3] == "0A").Select(fields => fields[9])];
        Assert.DoesNotContain(listening, inode => sockets.Output.Contains($"socket:[{inode}]", StringComparison.Ordinal));
        await collector.StopAsync();
    }

    [Fact]
    public async Task Programs_find_dumps_by_what_they_are_and_each_by_its_id()
    {
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 web1\n");
        await using var collector = await Collector.StartAsync(Dumps, "--hosts", _temp.File("hosts"));
        (await SendAsync(collector, "--synthetic", "1M", "--panic", "first panic", "--kernel")).Expect(0);
        (await SendAsync(collector, "--synthetic", "2M", "--panic", "second PANIC", "--kernel")).Expect(0);

        var all = await JsonAsync(collector, "/api/v1/dumps");
        var smallest = await JsonAsync(collector, "/api/v1/dumps?sort=bytes&limit=1&status=complete&host=web1");
        var second = await JsonAsync(collector, "/api/v1/dumps?panic=Second");
        var none = await JsonAsync(collector, "/api/v1/dumps?until=2020-01-01T00:00:00Z");

        Assert.Equal(2, all.GetProperty("total").GetInt32());
        Assert.Equal("second PANIC", all.GetProperty("dumps")[0].GetProperty("panic").GetString());
        Assert.Equal(2, smallest.GetProperty("total").GetInt32());
        Assert.Equal(1, smallest.GetProperty("dumps").GetArrayLength());
        Assert.Equal("first panic", smallest.GetProperty("dumps")[0].GetProperty("panic").GetString());
        Assert.Equal(1, second.GetProperty("total").GetInt32());
        Assert.Equal(0, none.GetProperty("total").GetInt32());
        string id = second.GetProperty("dumps")[0].GetProperty("id").GetString()!;
        Assert.Equal(id, (await JsonAsync(collector, $"/api/v1/dumps/{id}")).GetProperty("id").GetString());
        Assert.Equal(id, (await JsonAsync(collector, "/api/v1/dumps/web1.1")).GetProperty("id").GetString());
        await collector.StopAsync();
    }

    [Fact]
    public async Task What_cannot_be_answered_says_why()
    {
        string[] bad =
        [
            "/api/v1/dumps?limit=0", "/api/v1/dumps?limit=1001", "/api/v1/dumps?offset=-1", "/api/v1/dumps?sort=--bytes",
            "/api/v1/dumps?sort=panic", "/api/v1/dumps?since=yesterday", "/api/v1/dumps?since=2026-11-21", "/api/v1/dumps?until=11/21/2026%2003:00",
            "/api/v1/dumps?status=Complete", "/api/v1/dumps?host=a&host=b", "/api/v1/dumps?colour=red",
        ];
        string[] unknown = ["/api/v1/nothing", "/api/v1/dumps/nothing", "/api/v1/dumps/..%2f..%2fetc%2fpasswd", "/api/v2"];
        await using var collector = await Collector.StartAsync(Dumps);
        foreach (string path in bad.Concat(unknown))
        {
            using var response = await _http.GetAsync(new Uri(await collector.HttpAsync(), path));

            Assert.Equal((path, bad.Contains(path) ? HttpStatusCode.BadRequest : HttpStatusCode.NotFound), (path, response.StatusCode));
            if (path.StartsWith("/api/v1", StringComparison.Ordinal))
                Assert.True(JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.TryGetProperty("error", out _), path);
        }

        await collector.StopAsync();
    }

    [Fact]
    public async Task Sessions_show_who_is_dumping_and_how_far_it_is()
    {
        var dump = new TestDump(300_000);
        ushort clientPort = Collector.FreePort();
        await using var collector = await Collector.StartAsync(Dumps, "--client-port", $"{clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);

        var session = (await JsonAsync(collector, "/api/v1/sessions"))[0];

        Assert.Equal(client.Address.ToString(), session.GetProperty("client").GetString());
        Assert.Equal("receiving", session.GetProperty("phase").GetString());
        Assert.Equal(WellKnown.PageBytes + WellKnown.BurstBytes, session.GetProperty("bytes").GetInt32());
        Assert.Equal(client.SessionPort, session.GetProperty("port").GetInt32());
        Assert.Equal(JsonValueKind.Null, session.GetProperty("totalBytes").ValueKind);
        var live = await Collector.RunAsync("top", "--http", (await collector.HttpAsync()).Authority);
        Assert.Contains("top needs a terminal", live.Expect(1).Error, StringComparison.Ordinal);
        string id = session.GetProperty("dumpId").GetString()!;
        var asked = await Collector.RunAsync("sessions", "--http", (await collector.HttpAsync()).Authority);
        Assert.Matches($"{client.Address} +[^ ]+ +receiving +[^ ]+ +68.0 KiB .*{id}", asked.Expect(0).Output);
        Assert.Equal(Path.Combine(Dumps, $"partial.{client.Address}.{id}"), session.GetProperty("file").GetString());
        await collector.StopAsync();
    }

    /// <summary>Also of a dump that another process began.</summary>
    [Theory]
    [InlineData("plain")]
    [InlineData("--sparse")]
    public async Task A_running_dump_shows_how_long_it_will_be(string storage)
    {
        var dump = Minidump(bitmapBytes: 20_000, pages: 200);
        ushort clientPort = Collector.FreePort();
        string address = Collector.NewServerAddress();
        string[] arguments = ["--client-port", $"{clientPort}", .. storage == "plain" ? [] : new[] { storage }];
        await using var first = await Collector.StartAtAsync(address, 0, Dumps, arguments);
        Assert.True(Ipv4.TryParse(address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, first.Port);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);
        Assert.Equal(JsonValueKind.Null, (await JsonAsync(first, "/api/v1/sessions"))[0].GetProperty("expectedBytes").ValueKind);
        client.SendBurst(dump);
        await ExpectsAsync(first, dump.Content.Length);
        Assert.Matches($"{client.Address} .* 14 % ", (await Collector.RunAsync("sessions", "--http", (await first.HttpAsync()).Authority)).Expect(0).Output);
        await first.KillAsync();

        await using var second = await Collector.StartAtAsync(address, first.Port, Dumps, arguments);
        client.SendBurst(dump);
        await ExpectsAsync(second, dump.Content.Length);
        client.SendRest(dump);
        await ExpectsAsync(second, dump.Content.Length, "totalBytes");
        await ExpectsAsync(second, dump.Content.Length);
        client.Finish();

        Assert.Equal((ulong)dump.Content.Length, Assert.Single(second.Dumps).Manifest.CoveredBytes);
        await second.StopAsync();
    }

    /// <summary>What is acked and let go cannot be read again.</summary>
    [Fact]
    public async Task A_dump_of_which_only_the_head_is_kept_does_not_show_how_long_it_will_be()
    {
        var dump = Minidump(bitmapBytes: 20_000, pages: 200);
        ushort clientPort = Collector.FreePort();
        await using var collector = await Collector.StartAsync(Dumps, "--client-port", $"{clientPort}", "--keep", "head:64K");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        client.Herald();
        for (int burst = 0; burst < 10; burst++)
            client.SendBurst(dump);
        Assert.Equal(JsonValueKind.Null, (await JsonAsync(collector, "/api/v1/sessions"))[0].GetProperty("expectedBytes").ValueKind);

        client.SendRest(dump);

        await ExpectsAsync(collector, dump.Content.Length);
        client.Finish();
        await collector.StopAsync();
    }

    private async Task ExpectsAsync(Collector collector, int bytes, string property = "expectedBytes")
    {
        long start = Stopwatch.GetTimestamp();
        while ((await JsonAsync(collector, "/api/v1/sessions"))[0].GetProperty(property) is not { ValueKind: JsonValueKind.Number } expected || expected.GetInt32() != bytes)
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, $"{bytes} bytes are not expected");
    }

    /// <summary>An amd64 minidump with a message buffer and page tables of random bytes; its dumped pages are every other one.</summary>
    internal static TestDump Minidump(int bitmapBytes, int pages)
    {
        const int MessageBytes = 98232, PageTableBytes = 2 * WellKnown.PageBytes;
        int bitmapAt = (1 + 24 + 1) * WellKnown.PageBytes;
        int bitmapPages = (bitmapBytes + WellKnown.PageBytes - 1) / WellKnown.PageBytes;
        var dump = new TestDump(bitmapAt + (bitmapPages * WellKnown.PageBytes) + PageTableBytes + (pages * WellKnown.PageBytes));
        "minidump FreeBSD/amd64\0\0"u8.CopyTo(dump.Content);
        foreach (var (at, value) in (ReadOnlySpan<(int, int)>)[(24, 3), (28, MessageBytes), (32, bitmapBytes), (36, PageTableBytes), (64, WellKnown.PageBytes)])
            BinaryPrimitives.WriteInt32LittleEndian(dump.Content.AsSpan(at), value);
        dump.Content.AsSpan(bitmapAt, bitmapPages * WellKnown.PageBytes).Clear();
        for (int page = 0; page < pages; page++)
            dump.Content[bitmapAt + (page / 4)] |= (byte)(1 << (page % 4 * 2));
        return dump;
    }

    [Fact]
    public async Task The_event_stream_tells_of_sessions_and_of_what_happens()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        using var reader = new StreamReader(await _http.GetStreamAsync(new Uri(await collector.HttpAsync(), "/api/v1/events")));
        Assert.Equal("event: sessions", await reader.ReadLineAsync());
        Assert.Equal("data: []", await reader.ReadLineAsync());

        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);

        var events = new Dictionary<string, JsonElement>();
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        string name = "";
        while (!events.ContainsKey("dump.completed") && await reader.ReadLineAsync(timeUp.Token) is string line)
        {
            if (line.StartsWith("event: ", StringComparison.Ordinal))
                name = line["event: ".Length..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                events[name] = JsonDocument.Parse(line["data: ".Length..]).RootElement;
        }

        string id = Assert.Single(collector.Dumps).Manifest.Id;
        Assert.Equal(id, events["dump.started"].GetProperty("subject").GetString());
        Assert.Equal(id, events["dump.completed"].GetProperty("data").GetProperty("id").GetString());
        // A reader that stays keeps nobody from ending.
        await collector.StopAsync();
    }

    private async Task<JsonElement> JsonAsync(Collector collector, string path) =>
        JsonDocument.Parse(await _http.GetStringAsync(new Uri(await collector.HttpAsync(), path))).RootElement;

    private static async Task<Uri> MetricsUriAsync(Collector collector) => new(await collector.HttpAsync(), "/metrics");

    /// <summary>Every sample by its name and labels.</summary>
    private async Task<Dictionary<string, double>> MetricsAsync(Collector collector) =>
        (await _http.GetStringAsync(await MetricsUriAsync(collector))).Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#')
            .Select(line => (Line: line, Space: line.LastIndexOf(' ')))
            .ToDictionary(sample => sample.Line[..sample.Space], sample => NumberOf(sample.Line[(sample.Space + 1)..]));

    private async Task ShowsAsync(Collector collector, string sample, double value)
    {
        long start = Stopwatch.GetTimestamp();
        while ((await MetricsAsync(collector))[sample] != value)
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, $"{sample} is not {value}");
    }

    private static double NumberOf(string text) => text == "+Inf" ? double.PositiveInfinity : double.Parse(text, CultureInfo.InvariantCulture);

    private static Task<CommandResult> SendAsync(Collector collector, params string[] options) => Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), .. options]);
}
