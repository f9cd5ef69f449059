using System.Text;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>The secret that events are signed with.</summary>
internal static class WebhookSecret
{
    private const int MaxBytes = 4096;

    /// <summary>Reads it from a file; white space around it does not count.</summary>
    /// <exception cref="WebhookSecretException">The file cannot be read, is empty or longer than any secret.</exception>
    public static byte[] Read(string path)
    {
        string secret;
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
                throw new WebhookSecretException($"webhook secret {path}: has more than {MaxBytes} bytes");
            secret = File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WebhookSecretException($"webhook secret {path}: {e.Message}", e);
        }

        return secret.Length > 0 ? Encoding.UTF8.GetBytes(secret) : throw new WebhookSecretException($"webhook secret {path}: is empty");
    }
}

/// <summary>The webhook's secret cannot be had.</summary>
internal sealed class WebhookSecretException(string message, Exception? inner = null) : Exception(message, inner);
