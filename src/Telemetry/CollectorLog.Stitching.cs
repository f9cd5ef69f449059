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

    [LoggerMessage(1194, LogLevel.Information, "{File} ({Id}) is inside a whole dump now: {Whole} of node {Node}")]
    public static partial void PartIsWithin(ILogger logger, string file, string id, string whole, string node);

    [LoggerMessage(1195, LogLevel.Warning, "{File} ({Id}) stays incomplete, as far as can be told after {Hours} h: {Problem}; it is tried again every ten minutes")]
    public static partial void PartsDidNotCome(ILogger logger, string file, string id, double hours, string problem);

    [LoggerMessage(1196, LogLevel.Warning, "It cannot be asked where dumps are whole by now of which parts lie here: {Problem}")]
    public static partial void PartsNotAskedFor(ILogger logger, string problem);
}
