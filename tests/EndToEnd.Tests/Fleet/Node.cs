using System.Diagnostics;
using System.Net;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>A node of a fleet, whose HTTP other nodes reach.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class Node(string name, Collector collector) : IAsyncDisposable
{
    public const string Token = "an-admin-token-of-the-tests-0123456789";

    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false }) { BaseAddress = new($"http://{collector.Address}:9464"), Timeout = CommandResult.Deadline };

    public string Name { get; } = name;

    public Collector Collector { get; } = collector;

    public HttpClient Http => _http;

    /// <summary>Starts a node and waits until it takes dumps, which it does without the catalogue.</summary>
    public static Task<Node> StartAsync(string name, string cluster, string directory, params string[] arguments) => StartAtAsync(Collector.NewServerAddress(), name, cluster, directory, arguments);

    public static async Task<Node> StartAtAsync(string address, string name, string cluster, string directory, params string[] arguments)
    {
        // Each has an address of its own, so that the port can be the one that others are told.
        var collector = await Collector.StartInAsync([$"NETDUMP_CLUSTER={cluster}"], address, 0, directory, ["--node", name, "--http", $"{address}:9464", .. arguments]);
        _ = await collector.HttpAsync();
        return new(name, collector);
    }

    /// <summary>Sends a dump to its end.</summary>
    public async Task SendAsync(params string[] arguments) => (await Collector.RunAsync(
        ["send", "--server", Collector.Address, "--port", $"{Collector.Port}", "--from", $"{Collector.NewClientAddresses()}", "--synthetic", "2M", .. arguments])).Expect(0);

    public async Task<JsonElement> GetAsync(string path)
    {
        using var response = await _http.GetAsync(path);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{path}: {response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>A metric's value now.</summary>
    public async Task<double> MetricAsync(string name)
    {
        string line = (await _http.GetStringAsync("/metrics")).Split('\n').Single(line => line.StartsWith(name + ' ', StringComparison.Ordinal));
        return double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Names and states of the nodes that it knows.</summary>
    public async Task<IReadOnlyDictionary<string, string>> NodesAsync() =>
        (await GetAsync("/api/v1/nodes")).GetProperty("nodes").EnumerateArray().ToDictionary(node => node.GetProperty("name").GetString()!, node => node.GetProperty("state").GetString()!);

    /// <summary>Waits until it has been told at least once what the others told before this call.</summary>
    public async Task LearnsAsync()
    {
        double exchanges = await MetricAsync("netdump_catalog_exchange_duration_seconds_count");
        await HoldsAsync(async () => await MetricAsync("netdump_catalog_exchange_duration_seconds_count") >= exchanges + 2, "two more exchanges with the catalogue");
    }

    /// <summary>Waits for what nothing announces.</summary>
    public static async Task HoldsAsync(Func<Task<bool>> condition, string what, Func<Task<string>>? details = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(start) >= Eventually.Deadline)
                Assert.Fail($"not within {Eventually.Deadline}: {what}\n{(details is null ? "" : await details())}");
            await Task.Delay(50);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await Collector.DisposeAsync();
    }
}
