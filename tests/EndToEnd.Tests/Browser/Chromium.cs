using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.Browser;

/// <summary>Debian's Chromium without a window, steered by the DevTools protocol, with its profile in the test's directory.</summary>
/// <remarks>Source: chromedevtools.github.io/devtools-protocol.</remarks>
[UnsupportedOSPlatform("windows")]
internal sealed class Chromium : IAsyncDisposable
{
    private readonly Process _process;
    private readonly HttpClient _http = new() { Timeout = Eventually.Deadline };
    private readonly List<BrowserPage> _pages = [];

    private Chromium(string profile)
    {
        // Root has no sandbox; small machines have little of /dev/shm.
        _process = new Process
        {
            StartInfo = CommandResult.StartInfoOf("chromium",
                ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions", "--no-first-run",
                    "--hide-scrollbars", "--remote-debugging-port=0", $"--user-data-dir={profile}", "about:blank"]),
        };
        // It leaves temporary directories behind when it is killed.
        _process.StartInfo.Environment["TMPDIR"] = Directory.CreateDirectory(profile).FullName;
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, _) => { };
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <param name="profile">Where its profile goes.</param>
    public static async Task<Chromium> StartAsync(string profile)
    {
        var browser = new Chromium(profile);
        try
        {
            string portFile = Path.Combine(profile, "DevToolsActivePort");
            string port = await Eventually.Gets(
                () =>
                {
                    Assert.False(browser._process.HasExited, "Chromium ended");
                    return File.Exists(portFile) && File.ReadAllText(portFile).Split('\n') is [var first, _, ..] ? first : null;
                },
                "Chromium listens");
            browser._http.BaseAddress = new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/"));
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>A new, empty tab.</summary>
    public async Task<BrowserPage> NewPageAsync()
    {
        using var answer = await _http.PutAsync(new Uri("json/new?about:blank", UriKind.Relative), content: null);
        var target = await answer.Content.ReadFromJsonAsync<JsonElement>();
        var page = await BrowserPage.ConnectAsync(new(target.GetProperty("webSocketDebuggerUrl").GetString()!));
        _pages.Add(page);
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var page in _pages)
            page.Dispose();
        _http.Dispose();
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _process.WaitForExitAsync(timeUp.Token);
        _process.Dispose();
    }
}

/// <summary>A fact that needs Chromium; skipped where it is not, except in CI.</summary>
internal sealed class ChromiumFactAttribute : FactAttribute
{
    public ChromiumFactAttribute()
    {
        string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        if (!path.Any(directory => File.Exists(Path.Combine(directory, "chromium"))) && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "Debian's chromium is needed";
    }
}
