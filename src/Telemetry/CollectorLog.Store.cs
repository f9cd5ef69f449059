using Microsoft.Extensions.Logging;

namespace NetdumpCollector.Telemetry;

public static partial class CollectorLog
{
    [LoggerMessage(1130, LogLevel.Information, "Ended dumps are uploaded to {Store}; {Pending} are not there yet")]
    public static partial void StoreUsed(ILogger logger, string store, int pending);

    [LoggerMessage(1131, LogLevel.Information, "Stored {File} ({Id}) in {Url}")]
    public static partial void Stored(ILogger logger, string file, string id, string url);

    [LoggerMessage(1132, LogLevel.Error, "Object store: {Problem}; dumps stay in the dump directory and are uploaded when it works")]
    public static partial void StoreFails(ILogger logger, string problem);

    [LoggerMessage(1133, LogLevel.Information, "The object store works again")]
    public static partial void StoreWorksAgain(ILogger logger);

    [LoggerMessage(1134, LogLevel.Error, "The dump {Id} is not uploaded: {Problem}; it stays in the dump directory and is tried again in {Minutes} minutes")]
    public static partial void NotStored(ILogger logger, string id, string problem, double minutes);

    [LoggerMessage(1135, LogLevel.Information, "Gave up {Count} uploads that nobody went on with for {Days} days")]
    public static partial void StaleUploadsGivenUp(ILogger logger, int count, double days);
}
