using System.Net;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>Whom HTTP knows, and where it is told what they did.</summary>
/// <param name="Tokens">Who may do what.</param>
/// <param name="Audit">Tells of it.</param>
internal sealed record HttpAccess(AccessTokens Tokens, AuditLog Audit) : IDisposable
{
    /// <summary>What the settings say; null where HTTP is off or knows nobody.</summary>
    public static HttpAccess? Of(CollectorSettings settings, ILogger log) => settings is { Http.EndPoint: not null, TokenFile: string file }
        ? new(AccessTokens.Open(file, TimeProvider.System, log), new(settings.AuditLog ?? Path.Join(settings.Directory, AuditLog.DefaultName), TimeProvider.System, log))
        : null;

    /// <summary>Tells of what others can see or hear on an address that they reach.</summary>
    public static void WarnOfOpenness(CollectorSettings settings, ILogger log)
    {
        if (GapOf(settings) is string gap)
            CollectorLog.HttpIsOpen(log, settings.Http.ToString(), gap);
    }

    /// <summary>What others can see or hear, and the setting that ends it; null where there is nothing, or nobody but this machine.</summary>
    public static string? GapOf(CollectorSettings settings)
    {
        if (settings.Http.EndPoint is not { } endPoint || IPAddress.IsLoopback(endPoint.Address))
            return null;
        return (settings.HttpCertificate, settings.TokenFile) switch
        {
            (null, null) => "is not encrypted and asks nobody who he is: who reaches it sees which hosts panic, and why; give it --http-certificate and --token-file",
            (null, _) => "is not encrypted: who listens on the way reads tokens, and the dumps that are fetched by them; give it --http-certificate",
            (_, null) => "asks nobody who he is: who reaches it sees which hosts panic, and why; give it --token-file",
            _ => null,
        };
    }

    public void Dispose() => Audit.Dispose();
}
