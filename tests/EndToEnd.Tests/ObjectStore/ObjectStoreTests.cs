using System.Globalization;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.EndToEnd.Tests.ObjectStore;

/// <summary>The built program against a real S3 server.</summary>
[UnsupportedOSPlatform("windows")]
public sealed partial class ObjectStoreTests(RadosGateway gateway) : IClassFixture<RadosGateway>, IDisposable
{
    /// <summary>Five parts of 8 MiB.</summary>
    private const string Large = "40M";

    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new() { Timeout = CommandResult.Deadline };
    private readonly string _prefix = Guid.NewGuid().ToString("n");
    private readonly ushort _clientPort = Collector.FreePort();

    public void Dispose()
    {
        _temp.Dispose();
        _http.Dispose();
    }

    [StoreTheory]
    [InlineData("none", null)]
    [InlineData("gzip", "secret")]
    [InlineData("zstd", "rsa")]
    public async Task A_dump_is_uploaded_listed_and_fetched_on_another_machine(string compression, string? key)
    {
        var (arguments, opener) = KeyArguments(key);
        await using var collector = await StartAsync("dumps", ["--store-compress", compression, .. arguments]);
        await SendAsync(collector, "20M");
        var dump = await StoredAsync(collector);
        await collector.StopAsync();

        using var s3 = new S3Probe(gateway.Endpoint);
        string folder = dump.Manifest.Stored!.Url[$"s3://{RadosGateway.Bucket}/".Length..];
        Assert.Equal($"{_prefix}/{dump.Manifest.StartedAt.UtcDateTime.ToString("yyyy'/'MM'/'dd", CultureInfo.InvariantCulture)}/{dump.Manifest.Host}/{dump.Manifest.Id}/", folder);
        Assert.Equal(new[] { "info.txt", "manifest.json", dump.Manifest.Stored.Vmcore }.Order(StringComparer.Ordinal), s3.Objects(folder).Select(found => found.Key[folder.Length..]).Order(StringComparer.Ordinal));
        Assert.Equal(dump.Manifest.Stored.Bytes, s3.Objects(folder + "vmcore")[0].Bytes);
        Assert.Empty(s3.Uploads(_prefix));

        Assert.Contains(dump.Manifest.Id, (await RunAsync("dumps", "list")).Expect(0).Output, StringComparison.Ordinal);
        if (opener.Length > 0)
        {
            Assert.Contains("--key", (await RunAsync("dumps", "fetch", dump.Manifest.Id, "--output", _temp.File("closed"))).Expect(1).Error, StringComparison.Ordinal);
            File.WriteAllBytes(_temp.File("wrong"), RandomNumberGenerator.GetBytes(32));
            Assert.Contains("is encrypted for key ", (await RunAsync("dumps", "fetch", dump.Manifest.Id, "--output", _temp.File("closed"), "--key", _temp.File("wrong"))).Expect(1).Error, StringComparison.Ordinal);
        }

        (await RunAsync(["dumps", "fetch", dump.Manifest.Stored.Url, "--output", _temp.File("out"), .. opener])).Expect(0);
        var fetched = Assert.Single(DumpCatalog.Read(_temp.File("out")).Dumps);
        Assert.Equal(File.ReadAllBytes(dump.VmcorePath), File.ReadAllBytes(fetched.VmcorePath));
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", _temp.File("out"))).Expect(0);
    }

    [StoreFact]
    public async Task A_store_that_is_killed_in_mid_upload_is_waited_for_and_catches_up()
    {
        // Slow enough that the kill meets it in the midst.
        await using var collector = await StartAsync("dumps", ["--store-rate", "16M"]);
        await SendAsync(collector, Large);
        await MetricIsAsync(collector, "netdump_store_uploaded_parts_total", parts => parts >= 1);
        await gateway.KillAsync();
        try
        {
            await collector.PrintsAsync("Object store: ");
            await SendAsync(collector, "1M", client: 1);
            await MetricIsAsync(collector, "netdump_store_pending_dumps", pending => pending == 2);
            using var ready = await _http.GetAsync(new Uri(await collector.HttpAsync(), "/readyz"));
            Assert.True(ready.IsSuccessStatusCode);
        }
        finally
        {
            await gateway.StartAsync();
        }

        await StoredAsync(collector, count: 2);
        Assert.Contains("The object store works again", collector.Output, StringComparison.Ordinal);
        Assert.True(await MetricAsync(collector, "netdump_store_failures_total") > 0);
        await collector.StopAsync();
        await EachIsThereOnceAsync(2);
    }

    [StoreFact]
    public async Task A_collector_that_is_killed_in_mid_upload_sends_only_what_is_missing()
    {
        double sent;
        await using (var killed = await StartAsync("dumps", ["--store-rate", "16M", "--store-key", KeyFile()]))
        {
            await SendAsync(killed, Large);
            await MetricIsAsync(killed, "netdump_store_uploaded_parts_total", parts => parts >= 2);
            sent = await MetricAsync(killed, "netdump_store_uploaded_parts_total");
            await killed.KillAsync();
        }

        Assert.Single(Directory.GetFiles(_temp.File("dumps"), ".upload.*"));
        await using var collector = await StartAsync("dumps", ["--store-key", KeyFile()]);
        await StoredAsync(collector);
        Assert.InRange(await MetricAsync(collector, "netdump_store_reused_parts_total"), sent, 4);
        Assert.Equal(5, await MetricAsync(collector, "netdump_store_reused_parts_total") + await MetricAsync(collector, "netdump_store_uploaded_parts_total"));
        Assert.Empty(Directory.GetFiles(_temp.File("dumps"), ".upload.*"));
        await collector.StopAsync();
        await EachIsThereOnceAsync(1);
    }

    [StoreFact]
    public async Task Two_nodes_that_have_the_same_dump_store_it_once()
    {
        await using (var first = await Collector.StartAsync(_temp.File("dumps"), "--client-port", $"{_clientPort}"))
        {
            await SendAsync(first, Large);
            await first.HashedDumpsAsync(1);
            await first.StopAsync();
        }

        Directory.CreateDirectory(_temp.File("copy"));
        foreach (string file in Directory.GetFiles(_temp.File("dumps"), "*.*").Where(file => !file.EndsWith(".ledger", StringComparison.Ordinal)))
            File.Copy(file, Path.Combine(_temp.File("copy"), Path.GetFileName(file)), overwrite: true);
        await using var one = await StartAsync("dumps", ["--store-key", KeyFile()]);
        await using var other = await StartAsync("copy", ["--store-key", KeyFile()]);
        // One that finds the other at it looks again after 30 s; a start looks at once.
        await HoldsAsync(() => one.Dumps.Concat(other.Dumps).Any(dump => dump.Manifest.Stored is not null), "one of them has stored it", one, other);
        await one.StopAsync();
        await other.StopAsync();
        foreach (string directory in (string[])["dumps", "copy"])
        {
            await using var again = await StartAsync(directory, ["--store-key", KeyFile()]);
            await StoredAsync(again);
            await again.StopAsync();
        }

        Assert.Equal(DumpCatalog.Read(_temp.File("dumps")).Dumps[0].Manifest.Stored!.Url, DumpCatalog.Read(_temp.File("copy")).Dumps[0].Manifest.Stored!.Url);
        await EachIsThereOnceAsync(1);
    }

    [StoreFact]
    public async Task A_part_that_was_changed_on_the_way_is_refused_and_sent_again()
    {
        using var proxy = new CorruptingProxy(gateway.Endpoint);
        await using var collector = await StartAsync("dumps", [], proxy.Endpoint);
        await SendAsync(collector, "20M");
        await StoredAsync(collector);
        Assert.True(proxy.HasCorrupted);
        Assert.True(await MetricAsync(collector, "netdump_store_failures_total") > 0);
        Assert.Contains("what arrived is not what was sent", collector.Output, StringComparison.Ordinal);
        await collector.StopAsync();
        await EachIsThereOnceAsync(1);
    }

    [StoreTheory]
    [InlineData("AWS_SECRET_ACCESS_KEY=wrong", RadosGateway.Bucket, "the credentials are not accepted (SignatureDoesNotMatch)")]
    [InlineData("AWS_ACCESS_KEY_ID=nobody", RadosGateway.Bucket, "the credentials are not accepted (InvalidAccessKeyId)")]
    [InlineData("AWS_ACCESS_KEY_ID=" + RadosGateway.AccessKey + "2 AWS_SECRET_ACCESS_KEY=" + RadosGateway.SecretKey + "2", RadosGateway.Bucket, "the credentials may not do this (AccessDenied)")]
    [InlineData("AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY=", RadosGateway.Bucket, "no credentials were found")]
    [InlineData("A=b", "no-such-bucket", "there is no such bucket")]
    public async Task What_is_wrong_with_the_store_is_said_at_the_start_and_dumps_are_taken(string variables, string bucket, string problem)
    {
        await using var collector = await Collector.StartInAsync([.. RadosGateway.Variables, .. variables.Split(' ')], Collector.NewServerAddress(), 0, _temp.File("dumps"),
            [.. StoreArguments(gateway.Endpoint, $"s3://{bucket}/{_prefix}"), "--client-port", $"{_clientPort}"]);
        await collector.PrintsAsync(problem);
        await SendAsync(collector, "1M");
        await collector.HashedDumpsAsync(1);
        Assert.Null(collector.Dumps[0].Manifest.Stored);
        Assert.Single(collector.Lines, line => line.Contains("Object store: ", StringComparison.Ordinal));
        var doctor = await CommandResult.RunAsync("env", [.. RadosGateway.Variables, .. variables.Split(' '), Collector.Executable, "doctor", "-a", collector.Address, "-d", _temp.File("dumps"), "--port", $"{collector.Port}", .. StoreArguments(gateway.Endpoint, $"s3://{bucket}/{_prefix}")]);
        Assert.Contains(problem, doctor.Output, StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [StoreFact]
    public async Task Doctor_says_that_the_store_works_and_leaves_nothing_there()
    {
        var doctor = await RunAsync("doctor", "-a", Collector.NewServerAddress(), "-d", _temp.File("dumps"));
        Assert.Contains($"s3://{RadosGateway.Bucket}/{_prefix}/ can be read and written", doctor.Output, StringComparison.Ordinal);
        using var s3 = new S3Probe(gateway.Endpoint);
        Assert.Empty(s3.Objects(_prefix));
        Assert.Empty(s3.Uploads(_prefix));
    }

    [StoreFact]
    public async Task A_dump_is_not_deleted_before_it_is_stored()
    {
        await gateway.KillAsync();
        await using var collector = await StartAsync("dumps", ["--retain-count", "1"]);
        try
        {
            for (int i = 0; i < 3; i++)
                await SendAsync(collector, "1M");
            await collector.HashedDumpsAsync(3);
            await collector.StopAsync();
            foreach (string ledger in Directory.GetFiles(_temp.File("dumps"), "*.ledger"))
                File.Delete(ledger);
            string prune = (await PruneAsync()).Expect(0).Output;
            Assert.Contains("0 of 3 dumps", prune, StringComparison.Ordinal);
        }
        finally
        {
            await gateway.StartAsync();
        }

        await using var again = await StartAsync("dumps", []);
        await StoredAsync(again, 3);
        await again.StopAsync();
        Assert.Contains("2 of 3 dumps", (await PruneAsync()).Expect(0).Output, StringComparison.Ordinal);
    }

    [StoreFact]
    public async Task Without_a_store_nothing_of_its_library_is_loaded()
    {
        await using var without = await Collector.StartAsync(_temp.File("without"), "--client-port", $"{_clientPort}");
        await SendAsync(without, "1M");
        await without.HashedDumpsAsync(1);
        Assert.DoesNotContain("AWSSDK", File.ReadAllText($"/proc/{without.ProcessId}/maps"), StringComparison.Ordinal);
        Assert.DoesNotContain("netdump_store", await _http.GetStringAsync(new Uri(await without.HttpAsync(), "/metrics")), StringComparison.Ordinal);
        await without.StopAsync();

        await using var with = await StartAsync("with", []);
        await with.PrintsAsync("Ended dumps are uploaded to ");
        await HoldsAsync(() => File.ReadAllText($"/proc/{with.ProcessId}/maps").Contains("AWSSDK", StringComparison.Ordinal), "the library is loaded");
        await with.StopAsync();
    }

    private string[] StoreArguments(Uri endpoint, string? store = null) =>
        ["--store", store ?? $"s3://{RadosGateway.Bucket}/{_prefix}", "--store-endpoint", endpoint.ToString().TrimEnd('/'), "--store-path-style"];

    private Task<Collector> StartAsync(string directory, string[] arguments, Uri? endpoint = null) => Collector.StartInAsync(
        RadosGateway.Variables, Collector.NewServerAddress(), 0, _temp.File(directory), [.. StoreArguments(endpoint ?? gateway.Endpoint), "--client-port", $"{_clientPort}", .. arguments]);

    private Task<CommandResult> RunAsync(params string[] arguments) => CommandResult.RunAsync("env", [.. RadosGateway.Variables, Collector.Executable, .. arguments, .. StoreArguments(gateway.Endpoint)]);

    private Task<CommandResult> PruneAsync() =>
        Collector.RunAsync("dumps", "prune", "-d", _temp.File("dumps"), "--retain-count", "1", "--dry-run", "--store", $"s3://{RadosGateway.Bucket}/{_prefix}");

    private async Task SendAsync(Collector collector, string size, int client = 0) => (await Collector.RunAsync(
        "send", "--server", collector.Address, "--port", $"{collector.Port}", "--client-port", $"{_clientPort}", "--from", $"127.30.{collector.Address.Split('.')[2]}.{client + 1}", "--synthetic", size)).Expect(0);

    private static async Task<CatalogedDump> StoredAsync(Collector collector, int count = 1)
    {
        await HoldsAsync(() => collector.Dumps is var dumps && dumps.Count == count && dumps.All(dump => dump.Manifest.Stored is not null), $"{count} dumps are stored", collector);
        return collector.Dumps[0];
    }

    /// <summary>Uploads have what is left of the processor, which on a busy machine is little: they get more time than others to come about.</summary>
    private static async Task HoldsAsync(Func<bool> condition, string what, params Collector[] collectors)
    {
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        while (!condition())
        {
            Assert.False(timeUp.IsCancellationRequested, $"not within {CommandResult.Deadline}: {what}\n{string.Join("\n--\n", collectors.Select(collector => collector.Output))}");
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }

    private async Task<double> MetricAsync(Collector collector, string name)
    {
        string metrics = await _http.GetStringAsync(new Uri(await collector.HttpAsync(), "/metrics"));
        return double.Parse(Regex.Match(metrics, $@"^{name} (\S+)$", RegexOptions.Multiline).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
    }

    private async Task MetricIsAsync(Collector collector, string name, Func<double, bool> condition)
    {
        var http = await collector.HttpAsync();
        await HoldsAsync(() =>
        {
            using var answer = _http.Send(new(HttpMethod.Get, new Uri(http, "/metrics")));
            using var reader = new StreamReader(answer.Content.ReadAsStream());
            return Regex.Match(reader.ReadToEnd(), $@"^{name} (\S+)$", RegexOptions.Multiline) is { Success: true } match && condition(double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture));
        }, name);
    }

    /// <summary>No more objects than dumps need, no uploads left over, and every dump as its manifest says.</summary>
    private async Task EachIsThereOnceAsync(int dumps)
    {
        using var s3 = new S3Probe(gateway.Endpoint);
        Assert.Equal(3 * dumps, s3.Objects(_prefix).Count);
        Assert.Empty(s3.Uploads(_prefix));
        foreach (var dump in DumpCatalog.Read(_temp.File("dumps")).Dumps)
        {
            string[] opener = dump.Manifest.Stored!.Encryption == StoreEncryption.None ? [] : ["--key", KeyFile()];
            string directory = _temp.File($"fetched-{dump.Manifest.Id}");
            (await RunAsync(["dumps", "fetch", dump.Manifest.Id, "--output", directory, .. opener])).Expect(0);
            Assert.Equal(File.ReadAllBytes(dump.VmcorePath), File.ReadAllBytes(Assert.Single(DumpCatalog.Read(directory).Dumps).VmcorePath));
        }
    }

    private string KeyFile()
    {
        if (!File.Exists(_temp.File("secret")))
            File.WriteAllBytes(_temp.File("secret"), RandomNumberGenerator.GetBytes(32));
        return _temp.File("secret");
    }

    private (string[] Arguments, string[] Opener) KeyArguments(string? key)
    {
        if (key is null)
            return ([], []);
        if (key == "secret")
            return (["--store-key", KeyFile()], ["--key", KeyFile()]);
        using var rsa = RSA.Create(2048);
        File.WriteAllText(_temp.File("public.pem"), rsa.ExportSubjectPublicKeyInfoPem());
        File.WriteAllText(_temp.File("private.pem"), rsa.ExportPkcs8PrivateKeyPem());
        return (["--store-public-key", _temp.File("public.pem")], ["--key", _temp.File("private.pem")]);
    }
}
