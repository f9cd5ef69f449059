using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The API answers as its description says.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class OpenApiTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new() { Timeout = CommandResult.Deadline };

    public void Dispose()
    {
        _http.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public async Task Every_answer_fits_its_schema_and_every_field_is_described()
    {
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 web1\n");
        File.WriteAllText(_temp.File("after"), "#!/bin/sh\nexit 7\n");
        File.SetUnixFileMode(_temp.File("after"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        ushort clientPort = Collector.FreePort();
        string dumps = _temp.File("dumps");
        await using var collector = await Collector.StartAsync(dumps, "--hosts", _temp.File("hosts"), "--client-port", $"{clientPort}", "-i", _temp.File("after"));
        (await Collector.RunAsync("send", "--server", collector.Address, "--port", $"{collector.Port}", "--client-port", $"{clientPort}", "--from", Collector.NewClientAddresses().ToString(), "--synthetic", "1M", "--kernel")).Expect(0);
        await collector.HashedDumpsAsync(1);
        await collector.PrintsAsync("exit code 7");
        await Eventually.Holds(() => collector.Dumps[0].Manifest.Script is not null, "the script's end in the manifest");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        client.Herald();
        client.SendBurst(new TestDump(300_000));
        client.SendBurst(new TestDump(300_000));
        var check = new SchemaCheck(await AnswerAsync(collector, "/api/v1/openapi.json", 200));
        string ended = collector.Dumps[0].Manifest.Id;
        string running = (await AnswerAsync(collector, "/api/v1/sessions", 200)).EnumerateArray().Select(session => session.GetProperty("dumpId").GetString()).Single(id => id is not null)!;

        (string Path, string Asked, int Status)[] answers =
        [
            ("/api/v1/openapi.json", "/api/v1/openapi.json", 200), ("/api/v1/sessions", "/api/v1/sessions", 200), ("/api/v1/dumps", "/api/v1/dumps", 200), ("/api/v1/dumps", "/api/v1/dumps?limit=0", 400),
            ("/api/v1/dumps/{id}", $"/api/v1/dumps/{ended}", 200), ("/api/v1/dumps/{id}", $"/api/v1/dumps/{running}", 200), ("/api/v1/dumps/{id}", "/api/v1/dumps/nothing", 404),
            ("/api/v1/dumps/{id}", "/api/v1/dumps/2", 409), ("/api/v1/dumps/{id}/vmcore", $"/api/v1/dumps/{ended}/vmcore", 403),
        ];
        foreach (var (path, asked, status) in answers)
        {
            var answer = await AnswerAsync(collector, asked, status);
            Assert.True(check.Of(check.SchemaOf(path, "get", status), answer) is var wrong && wrong.Count == 0, $"{asked}: {string.Join('\n', wrong)}");
        }

        await collector.StopAsync();
    }

    private async Task<JsonElement> AnswerAsync(Collector collector, string path, int status)
    {
        using var response = await _http.GetAsync(new Uri(await collector.HttpAsync(), path));
        Assert.Equal(status, (int)response.StatusCode);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }
}
