using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Who gets what from the running program over HTTP, and what is told of it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class HttpAccessTests : IDisposable
{
    private const long FiveGibiBytes = 5L << 30;

    private static readonly string[] s_everybody = ["nobody", "stranger", "viewer", "fetcher", "boss"];

    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = CommandResult.Deadline };
    private readonly Dictionary<string, string> _tokens = s_everybody.Skip(1).ToDictionary(name => name, _ => NewToken());

    private string Dumps => _temp.File("dumps");

    private string TokenFile => _temp.File("tokens");

    private string AuditFile => Path.Join(Dumps, ".audit.jsonl");

    public void Dispose()
    {
        _http.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public async Task Each_route_answers_those_whose_role_is_great_enough()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 3), ("web2", 1));
        (string Method, string Path, string Least, int Status)[] routes =
        [
            ("GET", "/healthz", "nobody", 200), ("GET", "/readyz", "nobody", 200), ("GET", "/metrics", "nobody", 200),
            ("GET", "/api/v1/sessions", "viewer", 200), ("GET", "/api/v1/dumps", "viewer", 200), ("GET", "/api/v1/dumps/web1.0", "viewer", 200), ("GET", "/api/v1/openapi.json", "viewer", 200),
            ("GET", "/api/v1/nothing", "viewer", 404), ("GET", "/api/v1/dumps/web9.0", "viewer", 404), ("POST", "/api/v1/dumps", "viewer", 405),
            ("GET", "/api/v1/dumps/web1.0/vmcore", "fetcher", 200), ("GET", "/api/v1/dumps/web1.0/info", "fetcher", 200), ("GET", "/api/v1/dumps/web9.0/vmcore", "fetcher", 404),
            ("GET", "/api/v1/dumps/web1.0/key", "boss", 404), ("PUT", "/api/v1/dumps/web1.0/pin", "boss", 204), ("DELETE", "/api/v1/dumps/web1.0/pin", "boss", 204),
            ("DELETE", "/api/v1/dumps/web9.0", "boss", 404), ("DELETE", "/api/v1/dumps/web2.0", "boss", 409),
        ];
        foreach (var (method, path, least, status) in routes)
        {
            foreach (string who in s_everybody)
            {
                using var response = await AskAsync(collector, method, path, who);
                int expected = least == "nobody" || Array.IndexOf(s_everybody, who) >= Array.IndexOf(s_everybody, least) ? status : who is "nobody" or "stranger" ? 401 : 403;
                Assert.True((int)response.StatusCode == expected, $"{who}: {method} {path} is {(int)response.StatusCode} and not {expected}: {await response.Content.ReadAsStringAsync()}");
                Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
                if (expected >= 400)
                    Assert.True(JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetString()!.Length > 10);
                Assert.Equal(expected == 401 ? method is "GET" ? 2 : 1 : 0, response.Headers.WwwAuthenticate.Count);
                if (status == 405 && expected == 405)
                    Assert.Equal("GET, HEAD", string.Join(", ", response.Content.Headers.Allow));
                if (method == "GET")
                    Assert.Equal(response.StatusCode, (await AskAsync(collector, "HEAD", path, who)).StatusCode);
            }
        }

        Assert.Contains($"\nnetdump_http_denied_requests_total{{reason=\"missing_token\"}} {routes.Sum(route => route.Least == "nobody" ? 0 : route.Method == "GET" ? 2 : 1)}\n",
            await (await AskAsync(collector, "GET", "/metrics", "nobody")).Content.ReadAsStringAsync(), StringComparison.Ordinal);
        foreach (string token in _tokens.Values)
        {
            Assert.DoesNotContain(token, collector.Output, StringComparison.Ordinal);
            Assert.DoesNotContain(token, File.ReadAllText(AuditFile), StringComparison.Ordinal);
        }

        await collector.StopAsync();
    }

    [Fact]
    public async Task Without_a_token_file_everybody_looks_and_nobody_reads_or_changes_dumps()
    {
        await MakeDumpsAsync(("web1", 1));
        await using var collector = await Collector.StartAsync(Dumps);
        foreach (var (method, path, status) in ((string, string, int)[])
        [
            ("GET", "", 200), ("GET", "/web1.0", 200), ("GET", "/web1.0/vmcore", 403), ("GET", "/web1.0/info", 403), ("DELETE", "/web1.0", 403), ("PUT", "/web1.0/pin", 403),
        ])
        {
            using var response = await AskAsync(collector, method, $"/api/v1/dumps{path}", "boss");

            Assert.Equal((method, path, status), (method, path, (int)response.StatusCode));
            if (status == 403)
                Assert.Contains("--token-file", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Assert.False(File.Exists(AuditFile));
        await collector.StopAsync();
    }

    [Fact]
    public async Task Browsers_read_by_Basic_and_change_nothing()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        var basic = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"anything:{_tokens["boss"]}")));

        Assert.Equal(HttpStatusCode.OK, await StatusAsync("GET", "/api/v1/dumps/web1.0/vmcore", basic));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync("PUT", "/api/v1/dumps/web1.0/pin", basic));
        Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync("PUT", "/api/v1/dumps/web1.0/pin", Bearer("boss"), ("Origin", "http://elsewhere.example")));
        Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync("PUT", "/api/v1/dumps/web1.0/pin", Bearer("boss"), ("Origin", "null")));
        Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync("PUT", "/api/v1/dumps/web1.0/pin", Bearer("boss"), ("Sec-Fetch-Site", "cross-site")));
        Assert.False(Assert.Single(collector.Dumps).Manifest.Pinned);
        Assert.Equal(HttpStatusCode.NoContent, await StatusAsync("PUT", "/api/v1/dumps/web1.0/pin", Bearer("boss"), ("Origin", (await collector.HttpAsync()).GetLeftPart(UriPartial.Authority))));
        Assert.True(Assert.Single(collector.Dumps).Manifest.Pinned);
        await collector.StopAsync();

        async Task<HttpStatusCode> StatusAsync(string method, string path, AuthenticationHeaderValue authorization, params (string Name, string Value)[] headers)
        {
            using var request = new HttpRequestMessage(new(method), new Uri(await collector.HttpAsync(), path)) { Headers = { Authorization = authorization } };
            foreach (var (name, value) in headers)
                request.Headers.Add(name, value);
            using var response = await _http.SendAsync(request);
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task A_loopback_address_answers_for_no_other_host()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        foreach (var (host, status) in ((string, int)[])
            [("localhost", 200), ("LOCALHOST.", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("localhost.evil.example", 421), ("evil.example:9464", 421)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(await collector.HttpAsync(), "/api/v1/dumps")) { Headers = { Host = host } };

            using var response = await _http.SendAsync(request);

            Assert.Equal((host, status), (host, (int)response.StatusCode));
        }

        await collector.StopAsync();
    }

    [Fact]
    public async Task Ranges_are_the_bytes_of_the_file()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        byte[] file = await File.ReadAllBytesAsync(collector.Dumps[0].VmcorePath);
        foreach (var (range, status, begin, end) in ((string, int, Index, Index)[])
        [
            ("bytes=0-0", 206, 0, 1), ("bytes=100-65635", 206, 100, 65_636), ("bytes=1048570-", 206, 1_048_570, ^0), ("bytes=-5", 206, ^5, ^0), ("bytes=-99999999999", 206, 0, ^0), ("bytes=5-99999999999", 206, 5, ^0),
            ("bytes=0-1,5-6", 200, 0, ^0), ("bytes=5-4", 200, 0, ^0), ("bytes=a-b", 200, 0, ^0), ("lines=1-2", 200, 0, ^0), ("bytes=99999999999-", 416, 0, 0), ("bytes=-0", 416, 0, 0),
        ])
        {
            var (start, length) = (begin..end).GetOffsetAndLength(file.Length);

            using var response = await AskAsync(collector, "GET", "/api/v1/dumps/web1.0/vmcore", "fetcher", ("Range", range));

            Assert.Equal((range, status), (range, (int)response.StatusCode));
            string? expected = status switch { 206 => $"bytes {start}-{start + length - 1}/{file.Length}", 416 => $"bytes */{file.Length}", _ => null };
            Assert.Equal((range, expected), (range, response.Content.Headers.ContentRange?.ToString()));
            if (status != 416)
                Assert.Equal(file[start..(start + length)], await response.Content.ReadAsByteArrayAsync());
        }

        await collector.StopAsync();
    }

    [Fact]
    public async Task A_download_goes_on_only_with_the_file_that_it_began_with()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        byte[] file = await File.ReadAllBytesAsync(collector.Dumps[0].VmcorePath);
        const string Path = "/api/v1/dumps/web1.0/vmcore";
        using var head = await AskAsync(collector, "HEAD", Path, "fetcher");
        Assert.Equal(file.Length, head.Content.Headers.ContentLength);
        Assert.Equal("attachment; filename=vmcore.web1.0; filename*=UTF-8''vmcore.web1.0", head.Content.Headers.ContentDisposition!.ToString());
        Assert.Equal($"sha-256=:{Convert.ToBase64String(SHA256.HashData(file))}:", head.Headers.GetValues("Repr-Digest").Single());
        string tag = head.Headers.ETag!.ToString();
        string modified = head.Content.Headers.LastModified!.Value.ToString("r", CultureInfo.InvariantCulture);

        Assert.Equal(HttpStatusCode.PartialContent, (await AskAsync(collector, "GET", Path, "fetcher", ("Range", "bytes=9-"), ("If-Range", tag))).StatusCode);
        Assert.Equal(HttpStatusCode.PartialContent, (await AskAsync(collector, "GET", Path, "fetcher", ("Range", "bytes=9-"), ("If-Range", modified))).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(collector, "GET", Path, "fetcher", ("Range", "bytes=9-"), ("If-Range", "\"another\""))).StatusCode);
        Assert.Equal(HttpStatusCode.NotModified, (await AskAsync(collector, "GET", Path, "fetcher", ("If-None-Match", tag))).StatusCode);
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await AskAsync(collector, "GET", Path, "fetcher", ("If-Match", "\"another\""))).StatusCode);
        await collector.StopAsync();
    }

    [Fact]
    public async Task Curl_fetches_a_dump_and_goes_on_where_it_stopped()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        string core = collector.Dumps[0].VmcorePath, copy = _temp.File("copy"), url = new Uri(await collector.HttpAsync(), "/api/v1/dumps/web1.0/vmcore").ToString();
        string[] curl = ["-sS", "--fail", "-H", $"Authorization: Bearer {_tokens["fetcher"]}", "-o", copy];

        (await CommandResult.RunAsync("curl", [.. curl, "-r", "0-99999", url])).Expect(0);
        Assert.Equal(100_000, new FileInfo(copy).Length);
        (await CommandResult.RunAsync("curl", [.. curl, "-C", "-", url])).Expect(0);

        Assert.Equal(await File.ReadAllBytesAsync(core), await File.ReadAllBytesAsync(copy));
        Assert.Equal(await File.ReadAllTextAsync(collector.Dumps[0].InfoPath), await (await AskAsync(collector, "GET", "/api/v1/dumps/web1.0/info", "fetcher")).Content.ReadAsStringAsync());
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_dump_of_more_than_4_GiB_is_sent_from_any_offset_and_no_more_than_four_at_one_time()
    {
        await MakeDumpsAsync(("web1", 1));
        string core = DumpCatalog.Read(Dumps).Dumps[0].VmcorePath;
        using (var file = File.Open(core, FileMode.Open))
        {
            file.SetLength(FiveGibiBytes);
            file.Position = FiveGibiBytes - 100;
            file.Write(Encoding.ASCII.GetBytes(new string('x', 100)));
        }

        await using var collector = await StartAsync();
        const string Path = "/api/v1/dumps/web1.0/vmcore";
        Assert.Equal(FiveGibiBytes, (await AskAsync(collector, "HEAD", Path, "fetcher")).Content.Headers.ContentLength);
        using var tail = await AskAsync(collector, "GET", Path, "fetcher", ("Range", $"bytes={FiveGibiBytes - 150}-"));
        Assert.Equal(new string('\0', 50) + new string('x', 100), await tail.Content.ReadAsStringAsync());
        await EventuallyAuditedAsync(1);

        var started = new List<HttpResponseMessage>();
        for (int i = 0; i < 4; i++)
            started.Add(await AskAsync(collector, "GET", Path, "fetcher"));
        using (var fifth = await AskAsync(collector, "GET", Path, "fetcher"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, fifth.StatusCode);
            Assert.Equal("5", fifth.Headers.RetryAfter!.ToString());
        }

        started.ForEach(response => response.Dispose());
        await EventuallyAuditedAsync(5);
        using var again = await AskAsync(collector, "GET", Path, "fetcher", ("Range", "bytes=0-0"));
        Assert.Equal(HttpStatusCode.PartialContent, again.StatusCode);
        Assert.Equal(4, Audit().Count(line => line.Event == "download.ended" && line.Result == "the reader has gone" && line.Bytes < FiveGibiBytes));
        await collector.StopAsync();

        Task EventuallyAuditedAsync(int downloads) => Eventually.Holds(() => Audit().Count(line => line.Event == "download.ended") == downloads, $"the end of {downloads} downloads in the audit log");
    }

    [Fact]
    public async Task A_running_dump_is_shown_and_neither_sent_nor_deleted()
    {
        WriteTokens();
        ushort clientPort = Collector.FreePort();
        await using var collector = await Collector.StartAsync(Dumps, "--token-file", TokenFile, "--client-port", $"{clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, collector.Port);
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);
        string id = (await JsonAsync(collector, "/api/v1/sessions"))[0].GetProperty("dumpId").GetString()!;

        var shown = await JsonAsync(collector, $"/api/v1/dumps/{id}");

        Assert.Equal("receiving", shown.GetProperty("status").GetString());
        Assert.Equal($"partial.{client.Address}.{id}", shown.GetProperty("file").GetString());
        Assert.Equal(client.Address.ToString(), shown.GetProperty("session").GetProperty("client").GetString());
        foreach (var (method, path) in ((string, string)[])[("GET", "/vmcore"), ("GET", "/info"), ("DELETE", ""), ("PUT", "/pin")])
        {
            using var refused = await AskAsync(collector, method, $"/api/v1/dumps/{id}{path}", "boss");
            Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
            Assert.Contains("has not ended: receiving", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        await collector.StopAsync();
    }

    [Fact]
    public async Task Dumps_are_deleted_and_pinned_by_the_rules_of_the_commands()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 3));

        Assert.Equal(204, await ChangeAsync("PUT", "/api/v1/dumps/web1.0/pin"));
        Assert.Equal(204, await ChangeAsync("PUT", "/api/v1/dumps/web1.0/pin"));
        Assert.Equal(409, await ChangeAsync("DELETE", "/api/v1/dumps/web1.0"));
        Assert.Equal(204, await ChangeAsync("DELETE", "/api/v1/dumps/web1.0/pin"));
        Assert.Equal(409, await ChangeAsync("DELETE", "/api/v1/dumps/web1.2"));
        Assert.Equal(204, await ChangeAsync("DELETE", "/api/v1/dumps/web1.0"));
        Assert.Equal(404, await ChangeAsync("DELETE", "/api/v1/dumps/web1.0"));
        // All ids of this second start so.
        string prefix = collector.Dumps[0].Manifest.Id[..3];
        using var ambiguous = await AskAsync(collector, "DELETE", $"/api/v1/dumps/{prefix}", "boss");

        Assert.Equal(HttpStatusCode.Conflict, ambiguous.StatusCode);
        Assert.Equal(collector.Dumps.Select(dump => dump.Manifest.Id), JsonDocument.Parse(await ambiguous.Content.ReadAsStringAsync()).RootElement.GetProperty("candidates").EnumerateArray().Select(id => id.GetString()));
        Assert.Equal([1, 2], collector.Dumps.Select(dump => dump.Manifest.Index));
        Assert.Empty(Directory.GetFiles(Dumps, "*web1.0*"));
        await collector.PrintsAsync("boss asked for it over HTTP");
        await Eventually.Holds(() => Audit().Count(line => line.Event == "change.ended") == 6, "the end of six changes in the audit log");
        Assert.Equal(["attempted", "ended"], Audit().Where(line => line.Method == "DELETE" && line.Path == "/api/v1/dumps/web1.2").Select(line => line.Event["change.".Length..]));
        Assert.All(Audit(), line => Assert.Equal(("boss", "admin"), (line.Who, line.Role)));
        Assert.Equal([204, 204, 409, 204, 409, 204], Audit().Where(line => line.Event == "change.ended").Select(line => line.Status!.Value));
        await collector.StopAsync();

        async Task<int> ChangeAsync(string method, string path)
        {
            using var response = await AskAsync(collector, method, path, "boss");
            return (int)response.StatusCode;
        }
    }

    [Fact]
    public async Task The_audit_log_is_for_its_group_too_and_follows_its_name()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        (await AskAsync(collector, "PUT", "/api/v1/dumps/web1.0/pin", "boss")).Dispose();
        await Eventually.Holds(() => Audit().Count == 2, "both lines of the first change");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(AuditFile));
        File.Move(AuditFile, AuditFile + ".1");

        (await AskAsync(collector, "DELETE", "/api/v1/dumps/web1.0/pin", "boss")).Dispose();

        await Eventually.Holds(() => File.Exists(AuditFile) && Audit().Count == 2, "both lines of the second change");
        Assert.Equal(2, File.ReadAllLines(AuditFile + ".1").Length);
        await collector.StopAsync();
    }

    [Fact]
    public async Task What_the_audit_log_cannot_be_told_is_not_done()
    {
        string audit = _temp.File("nowhere/audit");
        await using var collector = await StartWithDumpsAsync(["--audit-log", audit], ("web1", 1));
        foreach (var (method, path) in ((string, string)[])[("GET", "/vmcore"), ("PUT", "/pin")])
        {
            using var refused = await AskAsync(collector, method, $"/api/v1/dumps/web1.0{path}", "boss");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Contains(Path.GetDirectoryName(audit)!, await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Assert.False(collector.Dumps[0].Manifest.Pinned);
        await collector.PrintsAsync($"Audit log {audit} cannot be written");
        Directory.CreateDirectory(Path.GetDirectoryName(audit)!);
        Assert.Equal(HttpStatusCode.NoContent, (await AskAsync(collector, "PUT", "/api/v1/dumps/web1.0/pin", "boss")).StatusCode);
        await collector.PrintsAsync($"Audit log {audit} can be written again");
        await collector.StopAsync();
    }

    [Fact]
    public async Task Who_tries_on_and_on_fills_no_disk()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));

        for (int i = 0; i < 200; i++)
            (await AskAsync(collector, "GET", "/api/v1/dumps/web1.0/vmcore", "viewer")).Dispose();

        await Eventually.Holds(() => Audit().Count >= 60, "the first attempts in the audit log");
        Assert.Equal(60, Audit().Count);
        Assert.Single(collector.Lines, line => line.Contains("was denied GET", StringComparison.Ordinal));
        Assert.Contains("netdump_http_denied_requests_total{reason=\"small_role\"} 200\n", await (await AskAsync(collector, "GET", "/metrics", "nobody")).Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_new_token_file_counts_from_the_next_second_on_and_a_broken_one_does_not()
    {
        await using var collector = await StartWithDumpsAsync(("web1", 1));
        // It answers when it has read the file.
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(collector, "GET", "/api/v1/dumps", "boss")).StatusCode);
        File.WriteAllText(TokenFile, "boss king 0123456789abcdef0123456789abcdef\n");

        await EventuallyAsync(collector, "boss", HttpStatusCode.OK, "line 1: the role is none");
        string newToken = NewToken();
        string old = _tokens["boss"];
        _tokens["boss"] = newToken;
        WriteTokens();

        await EventuallyAsync(collector, "boss", HttpStatusCode.OK, "has been read again");
        _tokens["boss"] = old;
        Assert.Equal(HttpStatusCode.Unauthorized, (await AskAsync(collector, "GET", "/api/v1/dumps", "boss")).StatusCode);
        await collector.StopAsync();

        // Asking makes it look.
        async Task EventuallyAsync(Collector server, string who, HttpStatusCode status, string printed)
        {
            using var timeUp = new CancellationTokenSource(Eventually.Deadline);
            while (!server.Output.Contains(printed, StringComparison.Ordinal))
            {
                timeUp.Token.ThrowIfCancellationRequested();
                (await AskAsync(server, "GET", "/api/v1/sessions", "viewer")).Dispose();
            }

            Assert.Equal(status, (await AskAsync(server, "GET", "/api/v1/dumps", who)).StatusCode);
        }
    }

    [Theory]
    [InlineData("boss admin short\n", "line 1: the token has 5 characters")]
    [InlineData("# nobody\n\n", "holds no token")]
    [InlineData(null, "No such file or directory")]
    public async Task A_token_file_that_cannot_be_used_costs_no_dump_and_lets_nobody_in_until_it_is_right(string? text, string complaint)
    {
        if (text is not null)
            File.WriteAllText(TokenFile, text);

        await using var collector = await Collector.StartAsync(Dumps, "--token-file", TokenFile);

        await Eventually.Holds(() => collector.Output.Contains(complaint, StringComparison.Ordinal), "a complaint about the token file");
        Assert.DoesNotContain("admin short", collector.Output, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Unauthorized, (await AskAsync(collector, "GET", "/api/v1/dumps", "boss")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(collector, "GET", "/readyz", "nobody")).StatusCode);

        WriteTokens();
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        while ((await AskAsync(collector, "GET", "/api/v1/dumps", "boss")).StatusCode != HttpStatusCode.OK)
            timeUp.Token.ThrowIfCancellationRequested();
        await collector.StopAsync();
    }

    [Fact]
    public async Task Encrypted_it_takes_a_new_certificate_without_a_restart_and_keeps_the_old_one_when_the_new_one_is_broken()
    {
        string certificate = _temp.File("certificate.pem"), key = _temp.File("key.pem");
        using var authority = NewAuthority();
        await MakeDumpsAsync(("web1", 1));
        string first = WriteCertificate(authority, certificate, key);
        await using var collector = await StartAsync("--http", "127.0.0.1:0", "--http-certificate", certificate, "--http-key", key);
        Assert.Equal("https", (await collector.HttpAsync()).Scheme);
        Assert.Equal(first, await ThumbprintAsync());

        File.WriteAllText(certificate, "broken");
        await EventuallyPrintsAsync("HTTP keeps the certificate that it has");
        Assert.Equal(first, await ThumbprintAsync());
        WriteCertificate(authority, certificate, _temp.File("key of another one.pem"));
        await EventuallyPrintsAsync("the key does not belong to the certificate");
        Assert.Equal(first, await ThumbprintAsync());
        string second = WriteCertificate(authority, certificate, key);
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        while (await ThumbprintAsync() != second)
            timeUp.Token.ThrowIfCancellationRequested();

        using var trusting = new HttpClient(new SocketsHttpHandler
        {
            SslOptions = { CertificateChainPolicy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { authority }, RevocationMode = X509RevocationMode.NoCheck } },
        });
        trusting.DefaultRequestHeaders.Authorization = Bearer("fetcher");
        Assert.Equal(await File.ReadAllBytesAsync(collector.Dumps[0].VmcorePath), await trusting.GetByteArrayAsync($"https://localhost:{(await collector.HttpAsync()).Port}/api/v1/dumps/web1.0/vmcore"));
        string http = (await collector.HttpAsync()).Authority;
        Assert.Contains("No sessions.", (await Collector.RunAsync("sessions", "--http", http, "--http-certificate", certificate, "--token-file", TokenFile)).Expect(0).Output, StringComparison.Ordinal);
        Assert.Contains("401", (await Collector.RunAsync("sessions", "--http", http, "--http-certificate", certificate)).Expect(3).Error, StringComparison.Ordinal);
        await collector.StopAsync();

        async Task<string> ThumbprintAsync()
        {
            string? shown = null;
            using var client = new HttpClient(new SocketsHttpHandler
            {
                SslOptions = { RemoteCertificateValidationCallback = (_, got, _, _) => (shown = ((X509Certificate2)got!).Thumbprint) is not null },
            });
            (await client.GetAsync(new Uri(await collector.HttpAsync(), "/healthz"))).EnsureSuccessStatusCode();
            return shown!;
        }

        async Task EventuallyPrintsAsync(string text)
        {
            using var late = new CancellationTokenSource(Eventually.Deadline);
            while (!collector.Output.Contains(text, StringComparison.Ordinal))
            {
                late.Token.ThrowIfCancellationRequested();
                await ThumbprintAsync();
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_certificate_that_cannot_be_used_costs_HTTP_and_no_dump(bool isWhole)
    {
        string certificate = _temp.File("certificate.pem"), key = _temp.File("key of another one.pem");
        using var authority = NewAuthority();
        WriteCertificate(authority, _temp.File("another certificate.pem"), key);
        WriteCertificate(authority, certificate, _temp.File("key.pem"));
        if (!isWhole)
            File.WriteAllText(certificate, "broken");
        await using var collector = await Collector.StartAsync(Dumps, "--http", "127.0.0.1:0", "--http-certificate", certificate, "--http-key", key);
        await collector.PrintsAsync("warning: No HTTP on ");

        (await SendAsync(collector, "web1")).Expect(0);

        Assert.Single(collector.Dumps);
        await collector.StopAsync();
    }

    [Theory]
    [InlineData(false, false, "is not encrypted and asks nobody")]
    [InlineData(true, false, "asks nobody")]
    [InlineData(false, true, "is not encrypted: ")]
    [InlineData(true, true, null)]
    public async Task A_warning_says_what_is_missing_where_others_reach_it(bool encrypts, bool knows, string? gap)
    {
        WriteTokens();
        using var authority = NewAuthority();
        WriteCertificate(authority, _temp.File("c.pem"), _temp.File("k.pem"));
        string[] encrypted = encrypts ? ["--http-certificate", _temp.File("c.pem"), "--http-key", _temp.File("k.pem")] : [];
        string[] known = knows ? ["--token-file", TokenFile] : [];
        await using var collector = await Collector.StartAsync(Dumps, ["--http", "0.0.0.0:0", .. encrypted, .. known]);
        await collector.PrintsAsync("Metrics and health on ");

        if (gap is null)
            Assert.DoesNotContain("warning: HTTP on ", collector.Output, StringComparison.Ordinal);
        else
            Assert.Contains($"warning: HTTP on 0.0.0.0:0 {gap}", collector.Output, StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task Files_that_are_not_what_a_manifest_may_name_are_not_sent()
    {
        File.WriteAllText(_temp.File("secret"), "secret");
        await using var collector = await StartWithDumpsAsync(("web1", 4));
        var dumps = collector.Dumps;
        File.Delete(dumps[0].VmcorePath);
        File.CreateSymbolicLink(dumps[0].VmcorePath, _temp.File("secret"));
        File.Delete(dumps[1].VmcorePath);
        (await CommandResult.RunAsync("mkfifo", [dumps[1].VmcorePath])).Expect(0);
        Rename(dumps[2], ".audit.jsonl");
        Rename(dumps[3], "bounds.web1");
        foreach (var dump in dumps)
        {
            using var refused = await AskAsync(collector, "GET", $"/api/v1/dumps/{dump.Name}/vmcore", "boss");
            string words = await refused.Content.ReadAsStringAsync();
            Assert.True(refused.StatusCode == HttpStatusCode.ServiceUnavailable, $"{dump.Name}: {words}");
            Assert.DoesNotContain("\"secret", words, StringComparison.Ordinal);
        }

        await collector.StopAsync();

        static void Rename(CatalogedDump dump, string core) =>
            File.WriteAllText(dump.ManifestPath, File.ReadAllText(dump.ManifestPath).Replace($"\"{Path.GetFileName(dump.VmcorePath)}\"", $"\"{core}\"", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", 20_000, "431")]
    [InlineData("GET /healthz?", 10_000, "414")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: never ends", 0, "408")]
    public async Task Who_sends_too_much_or_too_slowly_is_sent_away(string begin, int more, string status)
    {
        await using var collector = await Collector.StartAsync(Dumps);
        var uri = await collector.HttpAsync();
        using var client = new TcpClient();
        await client.ConnectAsync(uri.Host, uri.Port);
        var stream = client.GetStream();

        await stream.WriteAsync(Encoding.ASCII.GetBytes(begin + new string('a', more)));

        using var reader = new StreamReader(stream);
        Assert.StartsWith($"HTTP/1.1 {status} ", await reader.ReadLineAsync().WaitAsync(CommandResult.Deadline), StringComparison.Ordinal);
        await collector.StopAsync();
    }

    [Fact]
    public async Task The_33rd_connection_is_not_kept()
    {
        await using var collector = await Collector.StartAsync(Dumps);
        var uri = await collector.HttpAsync();
        var connections = new List<TcpClient>();
        try
        {
            for (int i = 0; i < 32; i++)
            {
                connections.Add(new());
                await connections[i].ConnectAsync(uri.Host, uri.Port);
                await connections[i].GetStream().WriteAsync("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"u8.ToArray());
                Assert.NotEqual(0, await connections[i].GetStream().ReadAsync(new byte[1024]));
            }

            using var next = new TcpClient();
            await next.ConnectAsync(uri.Host, uri.Port);
            Assert.Equal(0, await ReadOrResetAsync(next).WaitAsync(CommandResult.Deadline));
        }
        finally
        {
            connections.ForEach(connection => connection.Dispose());
        }

        await collector.StopAsync();

        static async Task<int> ReadOrResetAsync(TcpClient client)
        {
            try
            {
                return await client.GetStream().ReadAsync(new byte[1024]);
            }
            catch (IOException)
            {
                return 0;
            }
        }
    }

    [FuseTheory]
    [InlineData("sub")]
    public async Task A_file_system_that_hangs_holds_up_only_who_reads_from_it(string path)
    {
        await using var slow = await SlowFileSystem.MountAsync(_temp.File("device"), Path.Join(Dumps, path));
        await MakeDumpsAsync(["--path", path], ("web1", 1));
        string core = DumpCatalog.Read(Dumps).Dumps[0].VmcorePath;
        using (var file = File.Open(core, FileMode.Open))
            file.SetLength(256 << 20);
        WriteTokens();
        await using var collector = await Collector.StartAsync(Dumps, "--token-file", TokenFile);
        using var response = await AskAsync(collector, "GET", "/api/v1/dumps/web1.0/vmcore", "fetcher");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        slow.Hang();
        try
        {
            using var refused = await AskAsync(collector, "GET", "/api/v1/dumps/web1.0/vmcore", "fetcher");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await AskAsync(collector, "GET", "/api/v1/sessions", "viewer")).StatusCode);
            (await SendAsync(collector, "web2")).Expect(0);
        }
        finally
        {
            slow.Free();
        }

        long length = 0;
        await using var body = await response.Content.ReadAsStreamAsync();
        byte[] buffer = new byte[1 << 20];
        for (int read; (read = await body.ReadAsync(buffer)) > 0;)
            length += read;
        Assert.Equal(256 << 20, length);
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("PUT")]
    public async Task The_end_of_the_process_does_not_wait_for_an_audit_log_that_hangs(string method)
    {
        await using var slow = await SlowFileSystem.MountAsync(_temp.File("device"), _temp.File("audit"));
        await using var collector = await StartWithDumpsAsync(["--audit-log", _temp.File("audit/log")], ("web1", 1));
        var changes = new List<Task>();
        slow.Hang();
        try
        {
            await Eventually.Holds(
                () =>
                {
                    changes.Add(AskAsync(collector, method, "/api/v1/dumps/web1.0/pin", "boss"));
                    return IsInDevice(collector, "change-");
                },
                "a change waits for its line");
            collector.Terminate();

            await Eventually.Holds(() => HasReachedItsEnd(collector), "the main thread has ended");
        }
        finally
        {
            slow.Free();
        }

        await collector.EndsAsync();
        await Task.WhenAll(changes).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>The file system holds a thread of that name. Source: proc_pid_wchan(5); Linux, fs/fuse/dev.c.</summary>
    private static bool IsInDevice(Collector collector, string name) => Directory.EnumerateDirectories($"/proc/{collector.ProcessId}/task")
        .Any(thread => File.ReadAllText($"{thread}/comm").StartsWith(name, StringComparison.Ordinal) && File.ReadAllText($"{thread}/wchan").Contains("request_wait_answer", StringComparison.Ordinal));

    /// <summary>It has ended, but for a thread that the file system may still hold. Source: proc_pid_stat(5).</summary>
    private static bool HasReachedItsEnd(Collector collector)
    {
        try
        {
            return File.ReadAllText($"/proc/{collector.ProcessId}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }

    [Fact]
    public async Task Who_asks_for_sessions_shows_the_smallest_token_and_to_nobody_on_the_way()
    {
        File.WriteAllText(TokenFile, $"boss admin {_tokens["boss"]}\nviewer view {_tokens["viewer"]}\nfetcher download {_tokens["fetcher"]}\n");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        // Nothing answers at the proxy.
        var asking = CommandResult.RunAsync("env", ["http_proxy=http://127.0.0.1:1", Collector.Executable, "sessions", "--http", $"{listener.LocalEndpoint}", "--token-file", TokenFile]);
        using var connection = await listener.AcceptTcpClientAsync().WaitAsync(CommandResult.Deadline);
        using var request = new StreamReader(connection.GetStream());
        var lines = new List<string>();
        while (await request.ReadLineAsync() is { Length: > 0 } line)
            lines.Add(line);
        await connection.GetStream().WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"u8.ToArray());

        (await asking).Expect(0);
        Assert.Equal("GET /api/v1/sessions HTTP/1.1", lines[0]);
        Assert.Contains($"Authorization: Bearer {_tokens["viewer"]}", lines);
    }

    private static string NewToken() => RandomNumberGenerator.GetHexString(64, lowercase: true);

    private AuthenticationHeaderValue Bearer(string who) => new("Bearer", _tokens[who]);

    private async Task<HttpResponseMessage> AskAsync(Collector collector, string method, string path, string who, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new(method), new Uri(await collector.HttpAsync(), path));
        if (who != "nobody")
            request.Headers.Authorization = Bearer(who);
        foreach (var (name, value) in headers)
            Assert.True(request.Headers.TryAddWithoutValidation(name, value));
        return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private async Task<JsonElement> JsonAsync(Collector collector, string path)
    {
        using var response = await AskAsync(collector, "GET", path, "viewer");
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }

    /// <summary>Everybody but the stranger has a line; the boss by his token's digest.</summary>
    private void WriteTokens() => File.WriteAllText(TokenFile, $"""
        # who may do what
        viewer view {_tokens["viewer"]}
        fetcher download {_tokens["fetcher"]}
        boss admin sha256:{Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(_tokens["boss"])))}

        """);

    private Task<Collector> StartWithDumpsAsync(params (string Host, int Count)[] hosts) => StartWithDumpsAsync([], hosts);

    private async Task<Collector> StartWithDumpsAsync(string[] options, params (string Host, int Count)[] hosts)
    {
        await MakeDumpsAsync(hosts);
        return await StartAsync(options);
    }

    private Task<Collector> StartAsync(params string[] options)
    {
        WriteTokens();
        return Collector.StartAsync(Dumps, ["--token-file", TokenFile, .. options]);
    }

    private Task MakeDumpsAsync(params (string Host, int Count)[] hosts) => MakeDumpsAsync([], hosts);

    /// <summary>Has dumps received whose clients need no answer any more, and their hashes made.</summary>
    private async Task MakeDumpsAsync(string[] options, params (string Host, int Count)[] hosts)
    {
        int count = 0;
        foreach (var (host, dumps) in hosts)
        {
            File.WriteAllText(_temp.File("hosts"), $"127.0.0.0/8 {host}\n");
            await using var collector = await Collector.StartAsync(Dumps, ["--hosts", _temp.File("hosts"), .. options]);
            for (int i = 0; i < dumps; i++)
                (await SendAsync(collector, host)).Expect(0);
            await collector.HashedDumpsAsync(count += dumps);
            await collector.StopAsync();
        }

        foreach (string ledger in Directory.GetFiles(Dumps, "*.ledger", SearchOption.AllDirectories))
            File.Delete(ledger);
    }

    private static Task<CommandResult> SendAsync(Collector collector, string host) => Collector.RunAsync(
        "send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), "--synthetic", "2M", "--panic", $"panic of {host}", "--kernel");

    private sealed record AuditLine(string Event, string Who, string? Role, string Method, string Path, string? Dump, int? Status, long? Bytes, string? Result);

    private List<AuditLine> Audit() => File.Exists(AuditFile)
        ? [.. File.ReadAllText(AuditFile).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize<AuditLine>(line, JsonSerializerOptions.Web)!)]
        : [];

    private static X509Certificate2 NewAuthority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
    }

    /// <summary>Writes a new certificate for any address of the tests and returns its thumbprint.</summary>
    private static string WriteCertificate(X509Certificate2 authority, string certificatePath, string keyPath)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=collector", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.Create(authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(certificatePath, certificate.ExportCertificatePem());
        File.WriteAllText(keyPath, key.ExportPkcs8PrivateKeyPem());
        return certificate.Thumbprint;
    }
}
