using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text.Json;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A real Prometheus that scrapes one collector each second, with its data in the test's directory.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class PrometheusServer : IAsyncDisposable
{
    private const string Job = "netdump-collector";

    private readonly ConcurrentQueue<string> _lines = new();
    private readonly Process _process;
    private readonly HttpClient _http = new() { Timeout = Eventually.Deadline };

    private PrometheusServer(IEnumerable<string> arguments)
    {
        _process = new Process { StartInfo = CommandResult.StartInfoOf("prometheus", arguments) };
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) => Add(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    private string Output => string.Join('\n', _lines);

    /// <summary>Starts one on any free port and waits until it answers.</summary>
    /// <param name="directory">Where its configuration and its data go; it is created.</param>
    /// <param name="target">Host and port of the collector's HTTP.</param>
    /// <param name="rules">Files with recording and alerting rules.</param>
    public static async Task<PrometheusServer> StartAsync(string directory, string target, params string[] rules)
    {
        Directory.CreateDirectory(directory);
        string configuration = Path.Combine(directory, "prometheus.yml");
        File.WriteAllText(configuration, $$"""
            global: { scrape_interval: 1s, evaluation_interval: 1s }
            rule_files: {{JsonSerializer.Serialize(rules)}}
            scrape_configs:
              - job_name: {{Job}}
                static_configs: [{ targets: ["{{target}}"] }]

            """);
        var server = new PrometheusServer(["--config.file", configuration, "--storage.tsdb.path", Path.Combine(directory, "data"), "--web.listen-address", "127.0.0.1:0"]);
        try
        {
            server._http.BaseAddress = new(await Eventually.Gets(server.FindAddress, "Prometheus listens"));
            await Eventually.Holds(server.IsReady, "Prometheus is ready");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>What a query results in now: labels and value of each sample.</summary>
    public IReadOnlyList<(JsonElement Labels, double Value)> Query(string expression) =>
        [.. Get($"api/v1/query?query={Uri.EscapeDataString(expression)}").GetProperty("result").EnumerateArray()
            .Select(sample => (sample.GetProperty("metric"), NumberOf(sample.GetProperty("value")[1].GetString()!)))];

    /// <summary>Waits until a query has a result.</summary>
    public Task HoldsAsync(string expression) => Eventually.Holds(() => Query(expression).Count > 0, expression);

    /// <summary>All rules of all groups, as the HTTP API tells of them.</summary>
    public IReadOnlyList<JsonElement> Rules() => [.. Get("api/v1/rules").GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("rules").EnumerateArray())];

    /// <summary>Names of the alerts that fire.</summary>
    public IReadOnlyList<string> Firing() => [.. Get("api/v1/alerts").GetProperty("alerts").EnumerateArray()
        .Where(alert => alert.GetProperty("state").GetString() == "firing").Select(alert => alert.GetProperty("labels").GetProperty("alertname").GetString()!)];

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (!_process.HasExited)
            _process.Kill();
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _process.WaitForExitAsync(timeUp.Token);
        _process.Dispose();
    }

    private JsonElement Get(string path)
    {
        using var response = _http.Send(new(HttpMethod.Get, path));
        using var answer = JsonDocument.Parse(response.Content.ReadAsStream());
        Assert.True(response.IsSuccessStatusCode, $"{path}: {answer.RootElement}");
        return answer.RootElement.GetProperty("data").Clone();
    }

    private string? FindAddress()
    {
        string output = Output;
        Assert.False(_process.HasExited, $"Prometheus ended:\n{output}");
        var listening = ListeningOn().Match(output);
        return listening.Success ? $"http://{listening.Groups[1].Value}/" : null;
    }

    private bool IsReady()
    {
        Assert.False(_process.HasExited, $"Prometheus ended:\n{Output}");
        using var response = _http.Send(new(HttpMethod.Get, "-/ready"));
        return response.IsSuccessStatusCode;
    }

    private static double NumberOf(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };

    private void Add(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }

    [GeneratedRegex(@"msg=""Listening on"" address=([0-9.]+:[0-9]+)")]
    private static partial Regex ListeningOn();
}

/// <summary>A fact that needs Prometheus and promtool; skipped where they are not, except in CI.</summary>
internal sealed class PrometheusFactAttribute : FactAttribute
{
    public PrometheusFactAttribute()
    {
        string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        bool isThere = ((string[])["prometheus", "promtool"]).All(program => path.Any(directory => File.Exists(Path.Combine(directory, program))));
        if (!isThere && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "prometheus and promtool are needed, which come with Debian's prometheus";
    }
}
