using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>Who is told of events.</summary>
/// <param name="Url">Where they are posted.</param>
/// <param name="Secret">What they are signed with, or null.</param>
/// <param name="Source">What CloudEvents say they are from.</param>
internal sealed record WebhookTarget(Uri Url, byte[]? Secret, string Source)
{
    /// <summary>The settings' webhook, or null for none.</summary>
    /// <exception cref="WebhookSecretException">The secret cannot be had.</exception>
    public static WebhookTarget? Of(CollectorSettings settings) => settings.Webhook is not { } url ? null
        : new(url, settings.WebhookSecretFile is string file ? WebhookSecret.Read(file) : null, CollectorSource.Of(settings.Node));
}
