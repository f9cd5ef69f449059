using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>The secret that events are signed with.</summary>
internal static class WebhookSecret
{
    private const int MaxBytes = 4096;

    /// <summary>Reads it from a file: its bytes as they are, without the newline that editors put at the end.</summary>
    /// <exception cref="WebhookSecretException">The file cannot be read, is empty or longer than any secret.</exception>
    public static byte[] Read(string path)
    {
        byte[] bytes;
        try
        {
            bytes = SmallFile.Read(path, MaxBytes, mayBePipe: true);
        }
        catch (IOException e)
        {
            throw new WebhookSecretException($"webhook secret {path}: {e.Message}", e);
        }

        var secret = bytes.AsSpan();
        if (secret.EndsWith("\n"u8))
            secret = secret.EndsWith("\r\n"u8) ? secret[..^2] : secret[..^1];
        return !secret.IsEmpty ? secret.ToArray() : throw new WebhookSecretException($"webhook secret {path}: is empty");
    }
}

/// <summary>The webhook's secret cannot be had.</summary>
internal sealed class WebhookSecretException(string message, Exception? inner = null) : Exception(message, inner);
