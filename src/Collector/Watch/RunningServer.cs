using System.Net;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Watch;

/// <summary>A server that runs, as its HTTP interface shows it.</summary>
internal sealed class RunningServer : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly HttpClient? _http;

    private RunningServer(HttpClient? http) => _http = http;

    /// <param name="binding">Where it answers; all addresses stand for this machine.</param>
    public static RunningServer At(HttpBinding binding)
    {
        if (binding.EndPoint is not { } endPoint)
            return new(null);
        var address = endPoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : endPoint.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : endPoint.Address;
        return new(new() { BaseAddress = new($"http://{new IPEndPoint(address, endPoint.Port)}"), Timeout = s_patience });
    }

    /// <summary>What it says to a request; null, and a complaint, where it does not answer.</summary>
    public string? Read(string path, CommandIo io)
    {
        if (_http is null)
        {
            io.Complain("--http is off, so the server cannot be asked");
            return null;
        }

        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            using var response = _http.Send(request, io.Stop);
            using var reader = new StreamReader(response.Content.ReadAsStream(io.Stop));
            string text = reader.ReadToEnd();
            if (response.IsSuccessStatusCode)
                return text;
            io.Complain($"{_http.BaseAddress}: {(int)response.StatusCode} {text.Trim()}");
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            io.Complain($"no collector answers at {_http.BaseAddress}: {e.Message}; is 'serve' running, with the same --http?");
        }

        return null;
    }

    public void Dispose() => _http?.Dispose();
}
