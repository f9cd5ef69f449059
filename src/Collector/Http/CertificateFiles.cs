using System.Globalization;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http;

/// <summary>HTTP's certificate and key as they are in their files now. Thread-safe.</summary>
/// <remarks>The files are looked at when somebody connects, at most once a second; files that cannot be used leave the certificate as it was.</remarks>
internal sealed class CertificateFiles
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromSeconds(1);

    private readonly string _certificatePath;
    private readonly string? _keyPath;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private volatile SslServerAuthenticationOptions _options;
    private string _content;
    private string? _problem;
    private long _lookedAt;

    private CertificateFiles(string certificatePath, string? keyPath, TimeProvider time, ILogger log)
    {
        _certificatePath = Path.GetFullPath(certificatePath);
        _keyPath = keyPath is null ? null : Path.GetFullPath(keyPath);
        _time = time;
        _log = log;
        _content = ReadFiles();
        _options = Load();
        _lookedAt = time.GetTimestamp();
    }

    /// <summary>What a new connection is encrypted by.</summary>
    public SslServerAuthenticationOptions Current
    {
        get
        {
            LookAgain();
            return _options;
        }
    }

    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    /// <exception cref="CryptographicException">They are no certificate and its key.</exception>
    public static CertificateFiles Open(string certificatePath, string? keyPath, TimeProvider time, ILogger log) => new(certificatePath, keyPath, time, log);

    private void LookAgain()
    {
        // Who comes while another one looks takes what there is.
        if (_time.GetElapsedTime(Volatile.Read(ref _lookedAt)) < s_freshness || !_gate.TryEnter())
            return;

        try
        {
            Volatile.Write(ref _lookedAt, _time.GetTimestamp());
            string content = ReadFiles();
            if (content == _content && _problem is null)
                return;
            // Where one file is new and the other one not yet, they do not fit; the next look finds both.
            _options = Load();
            (_content, _problem) = (content, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            string problem = $"certificate {_certificatePath}{(_keyPath is null ? "" : $", key {_keyPath}")}: {e.Message}";
            if (problem != _problem)
                CollectorLog.CertificateKept(_log, problem);
            _problem = problem;
        }
        finally
        {
            _gate.Exit();
        }
    }

    private string ReadFiles() => File.ReadAllText(_certificatePath) + (_keyPath is null ? "" : File.ReadAllText(_keyPath));

    private X509Certificate2 ReadPair()
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(_certificatePath, _keyPath);
        }
        catch (ArgumentException e)
        {
            // What the library says of another certificate's key, as is there for a moment while both files are being replaced.
            throw new CryptographicException("the key does not belong to the certificate", e);
        }
    }

    private SslServerAuthenticationOptions Load()
    {
        var certificate = ReadPair();
        var chain = new X509Certificate2Collection();
        chain.ImportFromPemFile(_certificatePath);
        CollectorLog.CertificateRead(_log, _certificatePath, certificate.Subject, certificate.NotAfter.ToUniversalTime().ToString("u", CultureInfo.InvariantCulture));
        return new()
        {
            // Offline: nothing is fetched from where a certificate says.
            ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http11],
        };
    }
}
