using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests.Otlp;

/// <summary>Traces, metrics and logs as they arrive at an OpenTelemetry collector.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class OtlpTests : IDisposable
{
    private static readonly string[] s_parts = ["herald", "transfer", "kdh", "verify", "finish", "script"];

    private readonly TempDirectory _temp = new();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_dump_is_one_trace_from_its_herald_to_its_script(bool isGrpc)
    {
        await using var receiver = await OtlpReceiver.StartAsync(isGrpc);
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 web1\n");
        await using var collector = await StartAsync(receiver, [], "--hosts", _temp.File("hosts"), "-i", WriteScript("echo seen; exit 7"));

        (await SendAsync(collector, "--synthetic", "3M", "--panic", "lost page")).Expect(0);
        var script = await receiver.SpanAsync("script");
        var root = await receiver.SpanAsync("dump");
        var dump = Assert.Single(collector.Dumps).Manifest;

        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(dump.Id)))[..32], root.Trace);
        Assert.Empty(root.Parent);
        Assert.Equal(2, root.Kind);
        Assert.False(root.IsError);
        Assert.Equal(dump.Id, root.Attributes["netdump.dump.id"]);
        Assert.Equal(dump.Client, root.Attributes["client.address"]);
        Assert.Equal(collector.Address, root.Attributes["server.address"]);
        Assert.Equal((long)dump.Endpoint.Port, root.Attributes["server.port"]);
        Assert.Equal("udp", root.Attributes["network.transport"]);
        Assert.Equal("complete", root.Attributes["netdump.dump.status"]);
        Assert.Equal("finished", root.Attributes["netdump.dump.end_reason"]);
        Assert.Equal((long)dump.Bytes, root.Attributes["netdump.dump.bytes"]);
        Assert.Equal("web1", root.Attributes["netdump.dump.host"]);
        Assert.Equal("lost page", root.Attributes["netdump.panic"]);
        Assert.Equal("vmcore.web1.0", root.Attributes["netdump.dump.file"]);
        Assert.Equal(dump.StartedAt, root.From, TimeSpan.FromMilliseconds(1));

        var spans = receiver.Spans;
        Assert.Equal([.. s_parts.Append("dump").Order()], spans.Select(span => span.Name).Order());
        Assert.All(spans, span => Assert.Equal(root.Trace, span.Trace));
        Assert.All(spans.Where(span => span.Id != root.Id), span => Assert.Equal(root.Id, span.Parent));
        var part = spans.ToDictionary(span => span.Name);
        Assert.True(part["herald"].From == root.From && part["herald"].To <= part["transfer"].From.AddMilliseconds(1));
        Assert.True(part["transfer"].To <= part["verify"].From.AddMilliseconds(1));
        Assert.True(part["verify"].To <= part["finish"].From && part["finish"].To <= root.To.AddMilliseconds(1));

        var events = part["transfer"].Events;
        Assert.Equal("first byte", events[0].Name);
        Assert.Equal(part["transfer"].From, events[0].At);
        Assert.Equal((long)dump.CoveredBytes, part["transfer"].Attributes["netdump.transfer.bytes"]);
        Assert.Equal(dump.Bursts, part["transfer"].Attributes["netdump.transfer.bursts"]);
        Assert.Equal("lost page", part["kdh"].Attributes["netdump.panic"]);
        Assert.Equal((long)dump.Bytes, part["kdh"].Attributes["netdump.kdh.length"]);
        Assert.Equal("complete", part["verify"].Attributes["netdump.dump.status"]);
        Assert.Equal(1L, part["finish"].Attributes["netdump.commit.attempts"]);
        Assert.Equal(7L, script.Attributes["process.exit.code"]);
        Assert.Equal("7", script.Attributes["error.type"]);
        Assert.True(script is { IsError: true, StatusWords: "exit code 7" });

        Assert.Equal("netdump-collector", root.Resource["service.name"]);
        Assert.NotEqual("", root.Resource["service.version"]);
        Assert.True(Guid.TryParse((string)root.Resource["service.instance.id"], out _));
        Assert.All(receiver.Headers, tenant => Assert.Equal("crash", tenant));
        await CheckLogsAsync(receiver, root, script, dump.Client);
        await CheckMetricsAsync(receiver, collector, dump.Bytes);
        await collector.StopAsync();
    }

    private static async Task CheckLogsAsync(OtlpReceiver receiver, OtlpSpan root, OtlpSpan script, string client)
    {
        var finish = await receiver.SpanAsync("finish");
        (string Name, OtlpSpan Span)[] lines = [("NewDump", root), ("KdhFrom", root), ("Completed", finish), ("ScriptOutput", script), ("ScriptEnded", script)];
        await Eventually.Holds(() => lines.All(line => receiver.Logs.Any(log => log.Event == line.Name)), "all log lines");
        var logs = receiver.Logs;
        foreach (var (name, span) in lines)
        {
            var log = Assert.Single(logs, log => log.Event == name);
            Assert.Equal((span.Trace, span.Id), (log.Trace, log.Span));
        }

        var completed = Assert.Single(logs, log => log.Event == "Completed");
        Assert.StartsWith($"Completed dump from client web1 [{client}] (vmcore.web1.0, ", completed.Words, StringComparison.Ordinal);
        Assert.Equal("web1", completed.Attributes["Host"]);
        Assert.Equal(client, completed.Attributes["Client"]);
        Assert.Equal("Information", completed.Severity);
        Assert.Equal("netdump-collector", completed.Resource["service.name"]);
        // What was logged before there was anybody to export it.
        Assert.Empty(Assert.Single(logs, log => log.Words == "Waiting for clients.").Trace);
    }

    private static async Task CheckMetricsAsync(OtlpReceiver receiver, Collector collector, ulong bytes)
    {
        // What is looked up may be exported one interval later than what is measured.
        foreach (var (what, isThere) in new (string, Predicate<OtlpPoint>)[]
        {
            ("the dump's size", point => point is { Scope: "NetdumpCollector", Name: "netdump.dump.size", Unit: "By", Value: 1 }),
            ("its bytes", point => point.Name == "netdump.written" && point.Value == bytes),
            ("its outcome", point => point is { Name: "netdump.dumps", Value: 1 } && (string)point.Attributes["outcome"] == "complete"),
            ("room", point => point.Name == "netdump.storage.free"),
            ("the runtime", point => point is { Scope: "System.Runtime", Name: "dotnet.gc.collections" }),
        })
        {
            await Eventually.Holds(() => receiver.Points.Any(point => isThere(point)), what);
        }

        using var http = new HttpClient { BaseAddress = await collector.HttpAsync() };
        Assert.Contains("netdump_otlp_failures_total 0", await http.GetStringAsync(new Uri("/metrics", UriKind.Relative)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Each_tenth_of_a_dump_whose_length_is_known_early_is_an_event()
    {
        var dump = HttpTests.Minidump(bitmapBytes: 20_000, pages: 1000);
        ushort clientPort = Collector.FreePort();
        await using var receiver = await OtlpReceiver.StartAsync();
        await using var collector = await StartAsync(receiver, [], "--client-port", $"{clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        using var http = new HttpClient { BaseAddress = await collector.HttpAsync() };
        client.Herald();
        for (int burst = 0; burst < 3; burst++)
            client.SendBurst(dump);
        await Eventually.Holds(() => IsExpectedAsync(http, dump.Content.Length).GetAwaiter().GetResult(), "the dump's length is known");
        client.SendRest(dump);
        client.Finish();

        var progress = (await receiver.SpanAsync("transfer")).Events.Where(what => what.Name == "progress").ToArray();

        // Bursts are of 64 KiB, 1.5 % of the dump.
        Assert.Equal(Enumerable.Range(1, 10).Select(tenth => 10 * tenth), progress.Select(what => (int)(long)what.Attributes["netdump.transfer.percent"] / 10 * 10));
        Assert.Equal((long)dump.Content.Length, progress[^1].Attributes["netdump.transfer.bytes"]);
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_dump_that_survives_kill_9_goes_on_in_the_trace_that_it_began_in()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        string address = Collector.NewServerAddress(), hosts = _temp.File("hosts");
        ushort port = Collector.FreePort();
        File.WriteAllText(hosts, "127.0.0.0/8 web1\n");
        byte[] content = RandomNumberGenerator.GetBytes(100_000);
        PatientClient client;
        await using (var first = await Collector.StartInAsync(receiver.Environment, address, port, Dumps, "--hosts", hosts))
        {
            await HeardAsync(receiver);
            client = new PatientClient(Collector.NewClientAddresses(), address, port, content, payloadBytes: 1448);
            for (int packet = 0; packet < 20; packet++)
                client.SendUntilAcked(packet);
            await receiver.SpanAsync("herald");
            await first.KillAsync();
        }

        await using var second = await Collector.StartInAsync(receiver.Environment, address, port, Dumps, "--hosts", hosts, "-i", WriteScript("exit 0"));
        for (int packet = 20; packet < client.Packets.Count; packet++)
        {
            client.SendUntilAcked(packet);
            // Its last packets come when there is somebody to export what they do.
            if (packet == 40)
                await Eventually.Holds(() => receiver.Logs.Count(log => log.Words == "Waiting for clients.") == 2, "the second process exports");
        }

        client.Dispose();
        var script = await receiver.SpanAsync("script");
        var root = await receiver.SpanAsync("dump");
        var herald = await receiver.SpanAsync("herald");
        var dump = Assert.Single(second.Dumps).Manifest;
        Assert.Equal(DumpStatus.Complete, dump.Status);
        Assert.All(receiver.Spans, span => Assert.Equal(root.Trace, span.Trace));
        Assert.NotEqual(herald.Resource["service.instance.id"], root.Resource["service.instance.id"]);
        Assert.Equal(dump.StartedAt, root.From, TimeSpan.FromMilliseconds(1));
        Assert.Empty(root.Parent);
        Assert.Equal(true, root.Attributes["netdump.dump.resumed"]);
        Assert.Equal(root.Id, script.Parent);
        var resumed = (await receiver.SpanAsync("transfer")).Events[0];
        Assert.Equal("resumed", resumed.Name);
        await second.StopAsync();
    }

    [Fact]
    public async Task A_dump_that_breaks_off_is_an_error_with_the_silence_that_ended_it()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        await using var collector = await StartAsync(receiver, [], "--timeout", "2");
        using var client = new PatientClient(Collector.NewClientAddresses(), collector.Address, collector.Port, RandomNumberGenerator.GetBytes(100_000), payloadBytes: 1448);
        for (int packet = 0; packet < 20; packet++)
            client.SendUntilAcked(packet);

        var root = await receiver.SpanAsync("dump");

        Assert.True(root.IsError, root.StatusWords);
        Assert.Equal("clientTimedOut", root.Attributes["error.type"]);
        Assert.Equal("incomplete", root.Attributes["netdump.dump.status"]);
        var transfer = await receiver.SpanAsync("transfer");
        Assert.True(transfer.IsError);
        Assert.Equal("stall", transfer.Events[^1].Name);
        Assert.Equal(1L, transfer.Attributes["netdump.transfer.stalls"]);
        Assert.True((await receiver.SpanAsync("verify")).IsError);
        Assert.False((await receiver.SpanAsync("finish")).IsError);
        await collector.StopAsync();
    }

    [Fact]
    public async Task Exemplars_lead_from_metrics_to_the_trace()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        await using var collector = await StartAsync(receiver, []);
        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);
        var root = await receiver.SpanAsync("dump");
        var finish = await receiver.SpanAsync("finish");
        using var http = new HttpClient { BaseAddress = await collector.HttpAsync() };
        http.DefaultRequestHeaders.Accept.ParseAdd("application/openmetrics-text");

        string metrics = await http.GetStringAsync(new Uri("/metrics", UriKind.Relative));

        foreach (var (family, span) in new[] { ("netdump_burst_ack_duration_seconds", root), ("netdump_sync_duration_seconds", finish), ("netdump_dump_size_bytes", finish), ("netdump_dump_duration_seconds", finish) })
        {
            string exemplar = $" # {{trace_id=\"{span.Trace}\",span_id=\"{span.Id}\"}} ";
            Assert.Contains(metrics.Split('\n'), line => line.StartsWith($"{family}_bucket", StringComparison.Ordinal) && line.Contains(exemplar, StringComparison.Ordinal));
        }

        await collector.StopAsync();
    }

    [Theory]
    [InlineData("http/protobuf", false)]
    [InlineData("grpc", false)]
    [InlineData("http/protobuf", true)]
    [InlineData("grpc", true)]
    public async Task An_endpoint_that_is_dead_costs_a_line_and_nothing_else(string protocol, bool isBlackHole)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        if (!isBlackHole)
            listener.Stop();
        await using var collector = await Collector.StartInAsync(
            [$"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{port}", $"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}", "OTEL_EXPORTER_OTLP_TIMEOUT=700", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BLRP_SCHEDULE_DELAY=50", "OTEL_BSP_MAX_QUEUE_SIZE=5", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5"],
            Dumps, "-i", WriteScript("exit 0"));

        await collector.PrintsAsync("warning: OpenTelemetry: ");
        for (int i = 0; i < 4; i++)
            (await SendAsync(collector, "--synthetic", "1M", "--clients", "4")).Expect(0);
        await Eventually.Holds(() => collector.Lines.Count(line => line.Contains("exit code 0", StringComparison.Ordinal)) == 16, "all scripts");
        long stopping = Stopwatch.GetTimestamp();
        await collector.StopAsync();

        Assert.True(Stopwatch.GetElapsedTime(stopping) < TimeSpan.FromSeconds(8), $"the server took {Stopwatch.GetElapsedTime(stopping)} to end");
        Assert.Equal(16, collector.Dumps.Count);
        Assert.All(collector.Dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        Assert.InRange(collector.Lines.Count(line => line.Contains("OpenTelemetry: ", StringComparison.Ordinal)), 1, 2);
    }

    [Theory]
    [InlineData]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_SDK_DISABLED=true")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none")]
    public async Task Nothing_of_OpenTelemetry_is_loaded_where_nothing_is_exported(params string[] variables)
    {
        await using var collector = await Collector.StartInAsync(variables, Dumps);
        await collector.HttpAsync();
        (await SendAsync(collector, "--synthetic", "1M")).Expect(0);

        Assert.DoesNotContain("OpenTelemetry", File.ReadAllText($"/proc/{collector.ProcessId}/maps"), StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task Signals_and_names_are_chosen_by_the_standard_variables()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        await using var collector = await Collector.StartInAsync(
            [$"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={receiver.Url}/mine/trace", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=50",
                "OTEL_SERVICE_NAME=crashes", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=lab"], Dumps, "-i", WriteScript("exit 0"));
        // Its first dumps may have ended before anybody listens.
        do
            (await SendAsync(collector, "--synthetic", "1M")).Expect(0);
        while (receiver.Spans.Count == 0);

        await Eventually.Holds(() => receiver.Spans.Any(span => span.Name == "dump"), "a trace");
        var root = receiver.Spans.First(span => span.Name == "dump");
        Assert.Equal("crashes", root.Resource["service.name"]);
        Assert.Equal("lab", root.Resource["deployment.environment.name"]);
        Assert.Empty(receiver.Logs);
        Assert.Empty(receiver.Points);
        await collector.StopAsync();
        Assert.DoesNotContain("OpenTelemetry", collector.Output, StringComparison.Ordinal);
    }

    private async Task<Collector> StartAsync(OtlpReceiver receiver, IEnumerable<string> variables, params string[] arguments)
    {
        var collector = await Collector.StartInAsync([.. receiver.Environment, .. variables], Dumps, arguments);
        await HeardAsync(receiver);
        return collector;
    }

    /// <summary>The server exports.</summary>
    internal static Task HeardAsync(OtlpReceiver receiver) => Eventually.Holds(() => receiver.Logs.Any(log => log.Words == "Waiting for clients."), "the first line");

    private static async Task<bool> IsExpectedAsync(HttpClient http, int bytes)
    {
        using var sessions = JsonDocument.Parse(await http.GetStringAsync(new Uri("/api/v1/sessions", UriKind.Relative)));
        return sessions.RootElement.EnumerateArray().Any(session => session.GetProperty("expectedBytes") is { ValueKind: JsonValueKind.Number } expected && expected.GetInt32() == bytes);
    }

    private string WriteScript(string body)
    {
        string path = _temp.File("after-dump");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private static Task<CommandResult> SendAsync(Collector collector, params string[] options) => Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), .. options]);
}
