using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Watch;

/// <summary>A server that runs, as its HTTP interface shows it.</summary>
internal sealed class RunningServer : IDisposable
{
    /// <summary>The token of whoever asks, where he cannot read the token file.</summary>
    public const string TokenVariable = "NETDUMP_TOKEN";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly HttpClient? _http;

    private RunningServer(HttpClient? http) => _http = http;

    /// <summary>The settings that lead to it; they are the server's own.</summary>
    public static IReadOnlyList<Setting> Settings { get; } = [SettingsTable.Http, SettingsTable.TokenFile, SettingsTable.HttpCertificate, SettingsTable.Config];

    /// <param name="settings">Where it answers (all addresses stand for this machine), whom it knows, and by what it is encrypted.</param>
    /// <param name="environment">All environment variables.</param>
    public static RunningServer At(SettingsResolution settings, IReadOnlyDictionary<string, string> environment) =>
        At(settings.Value(SettingsTable.Http), settings.Value(SettingsTable.TokenFile), settings.Value(SettingsTable.HttpCertificate), environment);

    /// <param name="binding">Where it answers; all addresses stand for this machine.</param>
    /// <param name="tokenFile">Whom it knows, or null.</param>
    /// <param name="certificate">What it is encrypted by, or null.</param>
    /// <param name="environment">All environment variables.</param>
    public static RunningServer At(HttpBinding binding, string? tokenFile, string? certificate, IReadOnlyDictionary<string, string> environment)
    {
        if (binding.EndPoint is not { } endPoint)
            return new(null);
        var address = endPoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : endPoint.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : endPoint.Address;
        // It is on this machine, and the token is for nobody else.
        var handler = new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false };
        if (certificate is not null)
            handler.SslOptions.RemoteCertificateValidationCallback = (_, shown, _, errors) => errors == SslPolicyErrors.None || IsIn(certificate, shown);
        var http = new HttpClient(handler) { BaseAddress = new($"{(certificate is null ? "http" : "https")}://{new IPEndPoint(address, endPoint.Port)}"), Timeout = s_patience };
        if (TokenOf(tokenFile, environment) is string token)
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return new(http);
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
            string advice = response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden ? $"; --token-file names a file with a token, {TokenVariable} holds one" : "";
            io.Complain($"{_http.BaseAddress}: {(int)response.StatusCode} {text.Trim()}{advice}");
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            io.Complain($"no collector answers at {_http.BaseAddress}: {(e.InnerException ?? e).Message}; is 'serve' running, with the same --http and --http-certificate?");
        }

        return null;
    }

    public void Dispose() => _http?.Dispose();

    /// <summary>The least that the file has as itself: looking takes no role in particular, and while no collector runs anybody may answer in its place.</summary>
    private static string? TokenOf(string? file, IReadOnlyDictionary<string, string> environment)
    {
        try
        {
            if (file is not null && TokenFile.Read(file).Where(token => token.Secret is not null).MinBy(token => token.Role) is { Secret: string secret })
                return secret;
        }
        catch (TokenFileException)
        {
            // It is the server's user's; others have a token of their own.
        }

        return environment.TryGetValue(TokenVariable, out string? own) && own.Length > 0 ? own.Trim() : null;
    }

    /// <summary>The server shows the very certificate that its file has: that nobody else vouches for it, or that it is for a name and not for this address, does not matter.</summary>
    private static bool IsIn(string file, X509Certificate? shown)
    {
        try
        {
            var certificates = new X509Certificate2Collection();
            certificates.ImportFromPemFile(file);
            return shown is not null && certificates.Count > 0 && certificates[0].RawDataMemory.Span.SequenceEqual(shown.GetRawCertData());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return false;
        }
    }
}
