using System.Runtime.Versioning;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether HTTP would know whom it is to know and be encrypted by what it is to be, and who reaches it otherwise.</summary>
[UnsupportedOSPlatform("windows")]
internal static class HttpAccessCheck
{
    private const string Subject = "HTTP access";

    public static IEnumerable<Finding> Look(CollectorSettings settings)
    {
        if (settings.Http.EndPoint is null)
            yield break;

        var findings = new[] { TokensOf(settings), CertificateOf(settings), OpennessOf(settings) }.OfType<Finding>().ToArray();
        foreach (var finding in findings)
            yield return finding;
        if (findings.Length == 0)
            yield return new(FindingLevel.Ok, Subject, "nobody is known by name (--token-file) and nothing encrypted (--http-certificate): it is for this machine only");
    }

    private static Finding? TokensOf(CollectorSettings settings)
    {
        if (settings.TokenFile is not string file)
            return null;
        try
        {
            return new(FindingLevel.Ok, Subject, $"token file {file}: knows {TokenFile.Read(file).Count} by name");
        }
        catch (TokenFileException e)
        {
            return Finding.FromSentence(FindingLevel.Problem, Subject, e.Message.Replace("; ", ": nobody would be let in; ", StringComparison.Ordinal));
        }
    }

    private static Finding? CertificateOf(CollectorSettings settings)
    {
        if (settings.HttpCertificate is not string file)
            return null;
        try
        {
            _ = CertificateFiles.Open(file, settings.HttpKey, TimeProvider.System, NullLogger.Instance);
            return new(FindingLevel.Ok, Subject, $"certificate {file}: can be used");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return new(FindingLevel.Warning, Subject, $"certificate {file}: {e.Message.TrimEnd('.')}: no metrics and no health would be answered", "correct --http-certificate and --http-key; dumps are received all the same");
        }
    }

    private static Finding? OpennessOf(CollectorSettings settings) =>
        HttpAccess.GapOf(settings) is string gap ? Finding.FromSentence(FindingLevel.Warning, Subject, $"HTTP on {settings.Http} {gap}") : null;
}
