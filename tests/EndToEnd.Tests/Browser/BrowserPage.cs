using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.Browser;

/// <summary>A tab of <see cref="Chromium"/>.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class BrowserPage : IDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(50);

    private readonly ClientWebSocket _socket = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonElement>> _calls = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly CancellationTokenSource _closing = new();
    private int _lastCall;

    private BrowserPage()
    {
    }

    /// <summary>Errors in the console, exceptions of scripts, violations of the content policy, requests that failed.</summary>
    public IReadOnlyList<string> Complaints => [.. _complaints];

    public static async Task<BrowserPage> ConnectAsync(Uri address)
    {
        var page = new BrowserPage();
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        await page._socket.ConnectAsync(address, timeUp.Token);
        _ = page.ReceiveAsync();
        foreach (string domain in (string[])["Page", "Runtime", "Log", "Accessibility", "DOM"])
            await page.CallAsync($"{domain}.enable");
        return page;
    }

    /// <summary>Calls a method of the DevTools protocol.</summary>
    public async Task<JsonElement> CallAsync(string method, object? parameters = null)
    {
        int id = Interlocked.Increment(ref _lastCall);
        var answer = _calls.GetOrAdd(id, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
        byte[] message = JsonSerializer.SerializeToUtf8Bytes(new { id, method, @params = parameters ?? new { } });
        await _sending.WaitAsync();
        try
        {
            await _socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, _closing.Token);
        }
        finally
        {
            _sending.Release();
        }

        return await answer.Task.WaitAsync(Eventually.Deadline);
    }

    /// <summary>Opens an address and waits until the document and its script are there.</summary>
    public async Task OpenAsync(Uri address)
    {
        var opened = await CallAsync("Page.navigate", new { url = address.ToString() });
        Assert.False(opened.TryGetProperty("errorText", out var error), $"{address}: {error}");
        await HoldsAsync($"location.href === {JsonSerializer.Serialize(address)} && document.readyState === 'complete'");
    }

    /// <summary>The value of an expression of JavaScript.</summary>
    public async Task<JsonElement> ValueAsync(string expression)
    {
        var result = await CallAsync("Runtime.evaluate", new { expression, returnByValue = true, awaitPromise = true });
        Assert.False(result.TryGetProperty("exceptionDetails", out var failure), $"{expression}: {failure}");
        return result.GetProperty("result").TryGetProperty("value", out var value) ? value : default;
    }

    public async Task<string> TextAsync(string expression) => (await ValueAsync($"String({expression})")).GetString()!;

    /// <summary>Waits until an expression is true.</summary>
    public async Task HoldsAsync(string expression)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await IsTrueAsync(expression))
        {
            if (Stopwatch.GetElapsedTime(start) >= Eventually.Deadline)
                Assert.Fail($"not within {Eventually.Deadline}: {expression}\n{string.Join('\n', Complaints)}\n{await TextAsync("document.body?.innerText")}");
            await Task.Delay(s_interval);
        }
    }

    /// <summary>A window of so many pixels, dark or light.</summary>
    public async Task ShowAsAsync(int width, int height, bool isDark)
    {
        await CallAsync("Emulation.setDeviceMetricsOverride", new { width, height, deviceScaleFactor = 1, mobile = width < 500 });
        await CallAsync("Emulation.setEmulatedMedia", new { features = new[] { new { name = "prefers-color-scheme", value = isDark ? "dark" : "light" } } });
    }

    /// <summary>Presses a key as a user does.</summary>
    public async Task PressAsync(string key, int code)
    {
        foreach (string type in (string[])["rawKeyDown", "keyUp"])
            await CallAsync("Input.dispatchKeyEvent", new { type, key, code = key, windowsVirtualKeyCode = code });
    }

    /// <summary>Writes the whole page as a PNG.</summary>
    public async Task ScreenshotAsync(string path)
    {
        var shot = await CallAsync("Page.captureScreenshot", new { format = "png", captureBeyondViewport = true });
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await File.WriteAllBytesAsync(path, shot.GetProperty("data").GetBytesFromBase64());
    }

    public void Dispose()
    {
        _closing.Cancel();
        _socket.Dispose();
        _sending.Dispose();
        _closing.Dispose();
    }

    private async Task<bool> IsTrueAsync(string expression)
    {
        // While another document loads there is nothing to ask.
        var result = await CallAsync("Runtime.evaluate", new { expression, returnByValue = true, awaitPromise = true });
        return !result.TryGetProperty("exceptionDetails", out _) && result.TryGetProperty("result", out var value)
            && value.TryGetProperty("value", out var isTrue) && isTrue.ValueKind == JsonValueKind.True;
    }

    private async Task ReceiveAsync()
    {
        try
        {
            using var message = new MemoryStream();
            byte[] buffer = new byte[1 << 16];
            while (true)
            {
                var part = await _socket.ReceiveAsync(buffer.AsMemory(), _closing.Token);
                if (part.MessageType == WebSocketMessageType.Close)
                    break;
                message.Write(buffer, 0, part.Count);
                if (!part.EndOfMessage)
                    continue;
                message.Position = 0;
                Take(JsonDocument.Parse(message.ToArray()).RootElement);
                message.SetLength(0);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // It is over.
        }

        foreach (var call in _calls.Values)
            call.TrySetException(new IOException("Chromium closed the page"));
    }

    private void Take(JsonElement message)
    {
        if (message.TryGetProperty("id", out var id))
        {
            if (!_calls.TryRemove(id.GetInt32(), out var call))
                return;
            if (message.TryGetProperty("error", out var error))
                call.SetException(new InvalidOperationException(error.ToString()));
            else
                call.SetResult(message.GetProperty("result"));
            return;
        }

        var parameters = message.GetProperty("params");
        switch (message.GetProperty("method").GetString())
        {
            case "Runtime.exceptionThrown":
                _complaints.Enqueue(parameters.GetProperty("exceptionDetails").ToString());
                break;
            case "Log.entryAdded" when parameters.GetProperty("entry").GetProperty("level").GetString() is "error" or "warning":
                _complaints.Enqueue(parameters.GetProperty("entry").ToString());
                break;
            case "Runtime.consoleAPICalled" when parameters.GetProperty("type").GetString() is "error" or "warning" or "assert":
                _complaints.Enqueue(parameters.ToString());
                break;
        }
    }
}
