using Microsoft.Extensions.Logging;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry;

public static partial class CollectorLog
{
    [LoggerMessage(1190, LogLevel.Warning, "Client {Client} goes on here with the dump {Id} of node {Node}, which is gone: this part is a dump of its own, and is stitched together with the other one when both have ended")]
    public static partial void Continued(ILogger logger, Ipv4 client, string id, string node);

    [LoggerMessage(1191, LogLevel.Information, "Stitched {File} ({Id}) together with what other nodes have received of it: {Status}, {Fetched} bytes fetched")]
    public static partial void Stitched(ILogger logger, string file, string id, DumpStatus status, long fetched);

    [LoggerMessage(1192, LogLevel.Warning, "{File} ({Id}) waits for the rest of its dump: {Problem}")]
    public static partial void AwaitsParts(ILogger logger, string file, string id, string problem);

    [LoggerMessage(1193, LogLevel.Warning, "{File} ({Id}) is not stitched: {Problem}")]
    public static partial void NotStitched(ILogger logger, string file, string id, string problem);
}
