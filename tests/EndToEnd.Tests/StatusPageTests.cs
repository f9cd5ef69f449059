using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.EndToEnd.Tests.Browser;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The status pages in a real browser, while a real server receives real dumps.</summary>
/// <remarks>Screenshots go to TestResults/status-page.</remarks>
[UnsupportedOSPlatform("windows")]
public sealed partial class StatusPageTests : IDisposable
{
    private const string Hostile = "<img src=x onerror=alert(1)></td><script>alert(2)</script>\"' " + "averylongwordwithoutanyspace_averylongwordwithoutanyspace_averylongwordwithoutanyspace";

    /// <summary>Everything that a key press may come to.</summary>
    private const string Focusable = "a[href], button, input:not([type=hidden]), select";

    /// <summary>Every text that can be seen, whose contrast with what is behind it is less than WCAG 2.2 wants (1.4.3, AA).</summary>
    private const string LowContrasts = """
        (() => {
          const parse = color => color.match(/[\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = element => {
            for (; element; element = element.parentElement) {
              const color = parse(getComputedStyle(element).backgroundColor);
              if (color.length < 4 || color[3] === 1) return color;
              if (color[3] !== 0) throw new Error("half transparent");
            }
            throw new Error("nothing behind");
          };
          const found = [];
          let seen = 0;
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const element = walk.currentNode.parentElement;
            if (!walk.currentNode.nodeValue.trim() || !element.checkVisibility() || element.closest("noscript, .unseen")) continue;
            const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
            const contrast = (a + 0.05) / (b + 0.05);
            seen++;
            if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${walk.currentNode.nodeValue.trim()}`);
          }
          if (seen < 20) found.push(`only ${seen} texts`);
          return found.join("\n");
        })()
        """;

    private static readonly string s_screenshots = Path.Combine(
        typeof(StatusPageTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!, "TestResults", "status-page");

    private readonly TempDirectory _temp = new();
    private readonly HttpClient _http = new() { Timeout = Eventually.Deadline };
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    private string Hosts => _temp.File("hosts");

    public void Dispose()
    {
        _http.Dispose();
        _temp.Dispose();
    }

    [ChromiumFact]
    public async Task A_dump_is_seen_from_its_herald_to_its_outcome_without_reloading()
    {
        await using var collector = await StartAsync();
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await OpenAsync(browser, collector, "/");
        await page.HoldsAsync("document.querySelector('#sessions').innerText.includes('No host is dumping.')");
        await page.ValueAsync("window.isSamePage = true");
        var dump = HttpTests.Minidump(bitmapBytes: 20_000, pages: 300);
        using var client = Client(collector);

        client.Herald();
        await page.HoldsAsync("document.querySelector('#sessions tbody tr')?.innerText.includes('announced, no data yet')");
        await page.HoldsAsync("document.querySelector('#announcer').textContent.endsWith(' began a dump')");
        client.SendBurst(dump);
        await page.HoldsAsync("document.querySelector('#sessions tbody tr').innerText.includes('4.0 KiB so far')");
        client.SendBurst(dump);
        client.SendBurst(dump);
        await page.HoldsAsync("(window.progress = document.querySelector('#sessions progress')?.value) > 0");
        Assert.Contains("(estimated)", await page.TextAsync("document.querySelector('#sessions tbody tr').innerText"), StringComparison.Ordinal);
        client.SendBurst(dump);
        client.SendBurst(dump);
        await page.HoldsAsync("document.querySelector('#sessions progress').value > window.progress");
        client.SendRest(dump);
        await page.HoldsAsync("document.querySelector('#sessions progress').value === 100");
        client.Finish();
        await page.HoldsAsync("document.querySelector('#dumps tbody tr')?.innerText.includes('complete')");

        Assert.Equal("true", await page.TextAsync("window.isSamePage"));
        Assert.Contains("panic 1", await page.TextAsync("document.querySelector('#dumps tbody tr').innerText"), StringComparison.Ordinal);
        await page.HoldsAsync("document.querySelector('#announcer').textContent === 'Dump of web1: complete'");
        await page.ValueAsync("document.querySelector('#dumps tbody a').click()");
        await page.HoldsAsync("document.querySelector('h1').innerText.includes('Dump web1.0') && document.querySelector('main').innerText.includes('SHA-256')");
        Assert.Empty(page.Complaints);
        await collector.StopAsync();
    }

    [ChromiumFact]
    public async Task What_stays_keeps_focus_and_selection_while_other_rows_come()
    {
        await using var collector = await StartAsync();
        await SendAsync(collector, "first panic");
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await OpenAsync(browser, collector, "/");
        await page.HoldsAsync("document.querySelectorAll('#dumps tbody tr').length === 1");
        await page.ValueAsync("document.querySelector('#dumps tbody a').focus(); window.focused = document.activeElement.closest('tr').dataset.key; getSelection().selectAllChildren(document.querySelector('#dumps .message bdi'))");
        await page.ValueAsync("document.querySelector('#text').value = 'half typed'");

        await SendAsync(collector, "second panic");
        await page.HoldsAsync("document.querySelectorAll('#dumps tbody tr').length === 2");

        Assert.Equal("true", await page.TextAsync("document.querySelectorAll('#dumps tbody tr')[1].contains(document.activeElement) && document.activeElement.closest('tr').dataset.key === window.focused"));
        Assert.Equal("first panic", await page.TextAsync("getSelection()"));
        Assert.Equal("half typed", await page.TextAsync("document.querySelector('#text').value"));
        Assert.Equal("2", await page.TextAsync("document.querySelectorAll('#panics tbody tr').length"));
        Assert.Empty(page.Complaints);
        await collector.StopAsync();
    }

    [ChromiumFact]
    public async Task A_server_that_goes_is_told_of_and_one_that_comes_back_is_noticed()
    {
        string address = Collector.NewServerAddress();
        string http = $"{address}:{FreeTcpPort(address)}";
        string hosts = _temp.File("hosts");
        File.WriteAllText(hosts, "127.0.0.0/8 web1\n");
        var collector = await Collector.StartAtAsync(address, 0, Dumps, "--hosts", hosts, "--client-port", $"{_clientPort}", "--http", http);
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await OpenAsync(browser, collector, "/");
        Assert.Equal("true", await page.TextAsync("document.querySelector('#connection').hidden"));

        await collector.KillAsync();
        await collector.DisposeAsync();
        await page.HoldsAsync("!document.querySelector('#connection').hidden && /^Connection lost. Last update \\d\\d:\\d\\d:\\d\\d UTC/.test(document.querySelector('#connection').innerText)");
        await page.ScreenshotAsync(Path.Combine(s_screenshots, "lost.png"));

        await using var next = await Collector.StartAtAsync(address, 0, Dumps, "--hosts", hosts, "--client-port", $"{_clientPort}", "--http", http);
        await page.HoldsAsync("document.querySelector('#connection').hidden && document.querySelector('#announcer').textContent.startsWith('The connection is back')");
        await SendAsync(next, "after the restart");
        await page.HoldsAsync("document.querySelector('#dumps').innerText.includes('after the restart')");
        // Chromium itself complains of each request that was refused or broken off.
        Assert.All(page.Complaints, complaint => Assert.Matches("net::ERR_(CONNECTION|EMPTY|INCOMPLETE|SOCKET)_", complaint));
        await next.StopAsync();
    }

    [ChromiumFact]
    public async Task Updates_pause_when_asked_to()
    {
        await using var collector = await StartAsync();
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await OpenAsync(browser, collector, "/");
        await page.ValueAsync("document.querySelector('#pause').click()");
        Assert.Equal("true", await page.TextAsync("document.querySelector('#pause').getAttribute('aria-pressed')"));
        string asOf = await page.TextAsync("document.querySelector('#as-of').innerText");
        await SendAsync(collector, "unseen");

        Assert.Equal(asOf, await page.TextAsync("document.querySelector('#as-of').innerText"));
        await page.ValueAsync("document.querySelector('#pause').click()");

        await page.HoldsAsync("document.querySelector('#dumps').innerText.includes('unseen')");
        await collector.StopAsync();
    }

    [ChromiumFact]
    public async Task Without_JavaScript_everything_is_there_and_can_be_searched()
    {
        await using var collector = await StartAsync();
        await SendAsync(collector, "first panic");
        await SendAsync(collector, "second panic");
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await browser.NewPageAsync();
        await page.CallAsync("Emulation.setScriptExecutionDisabled", new { value = true });

        await page.OpenAsync(new(await collector.HttpAsync(), "/"));

        string text = await page.TextAsync("document.body.innerText");
        Assert.Contains("Without JavaScript this page does not change by itself. Reload", text, StringComparison.Ordinal);
        Assert.Contains("first panic", text, StringComparison.Ordinal);
        Assert.Equal("true", await page.TextAsync("document.querySelector('#pause').hidden"));
        await page.ValueAsync("document.querySelector('#text').value = 'SECOND'; document.querySelector('form').requestSubmit()");
        await page.HoldsAsync("location.search === '?outcome=&host=&text=SECOND' && document.readyState === 'complete'");
        Assert.Contains("1 dump, the newest first", await page.TextAsync("document.querySelector('#dumps').innerText"), StringComparison.Ordinal);
        await page.ScreenshotAsync(Path.Combine(s_screenshots, "without-javascript.png"));
        Assert.Empty(page.Complaints);
        await collector.StopAsync();
    }

    [ChromiumFact]
    public async Task Every_page_can_be_read_in_the_dark_in_the_light_and_on_a_phone_and_used_by_keyboard_and_screen_reader()
    {
        await using var collector = await StartAsync("--min-free", "1K");
        await SendAsync(collector, Hostile, "--host", "<b>web</b>");
        await SendAsync(collector, "page fault while in kernel mode, va = 0x18");
        await SendAsync(collector, "page fault while in kernel mode, va = 0x2a0");
        await SendAsync(collector, "Assertion lock == sq->sq_lock failed at /usr/src/sys/kern/subr_sleepqueue.c:371", "--no-finish");
        var dump = HttpTests.Minidump(bitmapBytes: 20_000, pages: 4000);
        using var looked = new CancellationTokenSource();
        using var running = Client(collector);
        var sending = SendSlowlyAsync(running, dump, looked.Token);
        using var announced = Client(collector);
        announced.Herald();
        using var silent = Client(collector);
        silent.Herald();
        silent.SendBurst(dump);
        await using var browser = await Chromium.StartAsync(_temp.File("profile"));
        var page = await OpenAsync(browser, collector, "/");
        await page.HoldsAsync("document.querySelector('#sessions').innerText.includes('the kernel gives up after about')");
        await page.HoldsAsync("document.querySelectorAll('#dumps tbody tr').length >= 4");
        string dumpPath = new Uri(await page.TextAsync("[...document.querySelectorAll('#dumps tbody tr')].at(-1).querySelector('a').href")).AbsolutePath;
        Assert.Contains("page fault while in kernel mode", await page.TextAsync("document.querySelector('#panics tbody tr').innerText"), StringComparison.Ordinal);
        Assert.Equal("2", await page.TextAsync("document.querySelector('#panics tbody td').innerText"));
        Assert.Equal("0", await page.TextAsync("document.querySelectorAll('main img, main script, main b').length"));

        foreach (var (name, path) in ((string, string)[])[("overview", "/"), ("sessions", "/sessions"), ("dumps", "/dumps?text=page"), ("dump", dumpPath), ("not-found", "/dumps/nothing")])
        {
            foreach (var (scheme, width) in ((string, int)[])[("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)])
            {
                await page.ShowAsAsync(width, 900, scheme == "dark");
                await page.OpenAsync(new(await collector.HttpAsync(), path));
                await page.ScreenshotAsync(Path.Combine(s_screenshots, $"{name}-{scheme}-{width}.png"));
                string where = $"{path}, {scheme}, {width} pixels";
                Assert.True(await page.TextAsync(LowContrasts) is "", $"{where}: {await page.TextAsync(LowContrasts)}");
                Assert.True(await page.TextAsync("document.documentElement.scrollWidth <= innerWidth") is "true", $"{where}: wider than the window");
                await AssertNamedAsync(page, where);
            }

            await AssertReachableAsync(page, path);
        }

        Assert.All(page.Complaints, complaint => Assert.Contains("404", complaint, StringComparison.Ordinal));
        looked.Cancel();
        await sending;
        await collector.StopAsync();
    }

    [Fact]
    public async Task Pages_load_nothing_from_elsewhere_and_files_are_kept_by_their_content()
    {
        await using var collector = await StartAsync();
        var uri = await collector.HttpAsync();
        using var page = await _http.GetAsync(uri);
        string html = await page.Content.ReadAsStringAsync();

        Assert.Equal("text/html; charset=utf-8", page.Content.Headers.ContentType!.ToString());
        string policy = Assert.Single(page.Headers.GetValues("Content-Security-Policy"));
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self';", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", Assert.Single(page.Headers.GetValues("X-Content-Type-Options")));
        Assert.True(page.Headers.CacheControl!.NoStore);
        string[] assets = [.. AssetAddress().Matches(html).Select(match => match.Groups[1].Value)];
        Assert.Equal([".css", ".js", ".svg"], assets.Select(Path.GetExtension).Order());
        foreach (string asset in assets)
        {
            using var first = await _http.GetAsync(new Uri(uri, asset));
            Assert.Equal(HttpStatusCode.OK, first.StatusCode);
            Assert.Contains("immutable", first.Headers.CacheControl!.ToString(), StringComparison.Ordinal);
            Assert.NotEmpty(await first.Content.ReadAsByteArrayAsync());
            using var again = new HttpRequestMessage(HttpMethod.Get, new Uri(uri, asset));
            again.Headers.IfNoneMatch.Add(first.Headers.ETag!);
            Assert.Equal(HttpStatusCode.NotModified, (await _http.SendAsync(again)).StatusCode);
        }

        using var head = await _http.SendAsync(new(HttpMethod.Head, uri));
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _http.GetAsync(new Uri(uri, "/assets/page.0000000000000000.js"))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _http.GetAsync(new Uri(uri, "/assets/..%2fnetdump-collector.dll"))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _http.GetAsync(new Uri(uri, "/dumps/..%2f..%2fetc%2fpasswd"))).StatusCode);
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_dump_directory_that_is_gone_is_told_of_on_the_page()
    {
        await using var collector = await StartAsync();
        await SendAsync(collector, "the last one");
        var uri = await collector.HttpAsync();
        Assert.Contains("the last one", await _http.GetStringAsync(uri), StringComparison.Ordinal);
        Directory.Delete(Dumps, recursive: true);

        await Eventually.Holds(() => ReadPage(uri).Contains("cannot be read", StringComparison.Ordinal), "the page tells of it");

        string html = ReadPage(uri);
        Assert.Contains("<strong>Not ready.</strong>", html, StringComparison.Ordinal);
        Assert.Contains("What is shown was there at", html, StringComparison.Ordinal);
        Assert.Contains("the last one", html, StringComparison.Ordinal);
    }

    private string ReadPage(Uri uri)
    {
        using var answer = _http.Send(new(HttpMethod.Get, uri));
        using var reader = new StreamReader(answer.Content.ReadAsStream());
        return reader.ReadToEnd();
    }

    [GeneratedRegex("(?:href|src)=\"(/assets/[^\"]+)\"")]
    private static partial Regex AssetAddress();

    /// <summary>A host whose disk or network is slow.</summary>
    private static async Task SendSlowlyAsync(WireClient client, TestDump dump, CancellationToken looked)
    {
        client.Herald();
        for (int burst = 0; burst < 200 && !looked.IsCancellationRequested; burst++)
        {
            client.SendBurst(dump);
            await Task.Delay(TimeSpan.FromMilliseconds(200), looked).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Whatever can be used, and each progress bar, has a name for screen readers, and tables are tables also where they are shown as cards.</summary>
    private static async Task AssertNamedAsync(BrowserPage page, string where)
    {
        string[] named = ["link", "button", "textbox", "searchbox", "combobox", "progressbar", "navigation", "region", "search"];
        var nodes = (await page.CallAsync("Accessibility.getFullAXTree")).GetProperty("nodes").EnumerateArray().Where(node => !node.GetProperty("ignored").GetBoolean())
            .Select(node => (Role: node.GetProperty("role").GetProperty("value").GetString()!, Name: node.TryGetProperty("name", out var name) ? name.GetProperty("value").GetString() : null)).ToArray();
        Assert.All(nodes.Where(node => named.Contains(node.Role)), node => Assert.False(string.IsNullOrWhiteSpace(node.Name), $"{where}: a {node.Role} without a name"));
        foreach (string landmark in (string[])["banner", "main", "contentinfo", "navigation"])
            Assert.True(nodes.Any(node => node.Role == landmark), $"{where}: no {landmark}");
        int tables = (await page.ValueAsync("document.querySelectorAll('table').length")).GetInt32();
        Assert.Equal(tables, nodes.Count(node => node.Role == "table"));
        Assert.Equal((await page.ValueAsync("document.querySelectorAll('tbody tr').length")).GetInt32(), nodes.Count(node => node.Role == "rowheader"));
        Assert.Equal((await page.ValueAsync("document.querySelectorAll('thead th').length")).GetInt32(), nodes.Count(node => node.Role == "columnheader"));
    }

    /// <summary>The tabulator comes to everything that can be used, in the order of the page, and what it comes to is seen.</summary>
    private static async Task AssertReachableAsync(BrowserPage page, string path)
    {
        // Updates would put other nodes in the places of some.
        await page.ValueAsync("document.querySelector('#pause').click(); scrollTo(0, 0)");
        int count = (await page.ValueAsync($"(window.usable = [...document.querySelectorAll('{Focusable}')].filter(one => one.checkVisibility())).length")).GetInt32();
        await page.ValueAsync("document.body.tabIndex = -1; document.body.focus()");
        for (int i = 0; i < count; i++)
        {
            await page.PressAsync("Tab", 9);
            Assert.True(await page.TextAsync($"document.activeElement === window.usable[{i}]") is "true",
                $"{path}: Tab {i + 1} comes to {await page.TextAsync("document.activeElement.outerHTML")} and not to {await page.TextAsync($"window.usable[{i}].outerHTML")}");
            Assert.True(await page.TextAsync("getComputedStyle(document.activeElement).outlineStyle !== 'none'") is "true", $"{path}: {await page.TextAsync("document.activeElement.outerHTML")} has no focus ring");
        }
    }

    private Task<Collector> StartAsync(params string[] arguments)
    {
        string hosts = _temp.File("hosts");
        File.WriteAllText(hosts, "127.0.0.0/8 web1\n");
        return Collector.StartAsync(Dumps, ["--hosts", hosts, "--client-port", $"{_clientPort}", "--timeout", "30", .. arguments]);
    }

    private static async Task<BrowserPage> OpenAsync(Chromium browser, Collector collector, string path)
    {
        var page = await browser.NewPageAsync();
        await page.OpenAsync(new(await collector.HttpAsync(), path));
        return page;
    }

    private WireClient Client(Collector collector)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        return new(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
    }

    private async Task SendAsync(Collector collector, string panic, params string[] options) => (await Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), "--client-port", $"{_clientPort}", "--synthetic", "1M",
            "--panic", panic, .. options])).Expect(0);

    private static int FreeTcpPort(string address)
    {
        using var probe = new TcpListener(IPAddress.Parse(address), 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
