using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What the S3 client's exceptions mean, in words that help.</summary>
/// <remarks>Source: Amazon S3 API Reference, "Error responses".</remarks>
internal static class StoreErrors
{
    private const string Credentials = "look at the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or the role of the machine)";

    public static (StoreFailure Failure, string Reason, string? Advice) Explain(Exception e) => e switch
    {
        AmazonS3Exception s3 => OfAnswer(s3),
        AmazonServiceException service => (StoreFailure.Other, FirstLine(service.Message), null),
        _ when Inner<SocketException>(e) is { } socket => (StoreFailure.Unreachable, $"no connection: {socket.Message}", null),
        OperationCanceledException or TimeoutException => (StoreFailure.Unreachable, "no answer", null),
        HttpRequestException or IOException => (StoreFailure.Unreachable, $"no connection: {Innermost(e)}", null),
        // What the chain of credentials says has no type of its own.
        AmazonClientException client when client.Message.Contains("credential", StringComparison.OrdinalIgnoreCase) => (StoreFailure.NoCredentials, "no credentials were found", Credentials),
        _ => (StoreFailure.Other, Innermost(e), null),
    };

    private static (StoreFailure, string, string?) OfAnswer(AmazonS3Exception e)
    {
        string said = string.IsNullOrEmpty(e.ErrorCode) || e.ErrorCode == e.StatusCode.ToString() ? $"HTTP {(int)e.StatusCode}" : e.ErrorCode;
        return e.ErrorCode switch
        {
            "NoSuchBucket" => (StoreFailure.NoBucket, "there is no such bucket", "make it, or correct --store"),
            "RequestTimeTooSkewed" => (StoreFailure.ClockSkew, "the store's clock and this machine's differ too much (RequestTimeTooSkewed)", "set the clock (NTP)"),
            "BadDigest" or "XAmzContentSHA256Mismatch" or "InvalidDigest" => (StoreFailure.Checksum, $"what arrived is not what was sent ({e.ErrorCode})", "look for what changes data on the way to the store"),
            "InvalidAccessKeyId" or "SignatureDoesNotMatch" or "ExpiredToken" or "InvalidToken" or "TokenRefreshRequired" => (StoreFailure.Denied, $"the credentials are not accepted ({e.ErrorCode})", Credentials),
            "AccessDenied" or "AllAccessDisabled" or "AccountProblem" => (StoreFailure.Denied, $"the credentials may not do this ({e.ErrorCode})", "give their user what docs/operations.md lists under 'Object store'"),
            "SlowDown" or "ServiceUnavailable" or "InternalError" or "RequestTimeout" or "OperationAborted" => (StoreFailure.Busy, $"it has too much to do, or failed inside ({e.ErrorCode})", null),
            "QuotaExceeded" => (StoreFailure.Busy, "its quota is used up (QuotaExceeded)", "make room, or raise the quota"),
            _ when e.StatusCode is HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized => (StoreFailure.Denied, $"the credentials are not accepted, or may not do this ({said})", Credentials),
            _ when (int)e.StatusCode >= 500 || e.StatusCode == HttpStatusCode.TooManyRequests => (StoreFailure.Busy, $"it failed inside ({said})", null),
            _ when Inner<SocketException>(e) is { } socket => (StoreFailure.Unreachable, $"no connection: {socket.Message}", null),
            _ => (StoreFailure.Other, $"it answers {said}{(e.Message.Length > 0 && e.Message.Length < 200 ? $": {FirstLine(e.Message)}" : "")}", null),
        };
    }

    private static string FirstLine(string text) => text.Split('\n', 2)[0].TrimEnd();

    private static string Innermost(Exception e)
    {
        while (e.InnerException is { } inner)
            e = inner;
        return FirstLine(e.Message);
    }

    private static T? Inner<T>(Exception? e) where T : Exception
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is T found)
                return found;
        }

        return null;
    }
}
