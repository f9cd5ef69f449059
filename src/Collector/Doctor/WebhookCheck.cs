using System.Net.Sockets;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Webhooks;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the webhook's receiver can be reached; nothing is posted to it.</summary>
internal static class WebhookCheck
{
    private const string Subject = "webhook";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    public static IEnumerable<Finding> Look(CollectorSettings settings, CancellationToken stop)
    {
        if (settings.Webhook is not { } url)
            return [new(FindingLevel.Ok, Subject, "none (--webhook)")];
        try
        {
            _ = WebhookTarget.Of(settings);
        }
        catch (WebhookSecretException e)
        {
            return [new(FindingLevel.Problem, Subject, $"{e.Message}: serve would not start", "give the collector's user a file with the secret, or leave --webhook-secret out")];
        }

        if (HttpClient.DefaultProxy.GetProxy(url) is { } proxy && proxy != url)
            return [new(FindingLevel.LeftOut, Subject, $"events for {url.Host} go through the proxy {proxy.Host}:{proxy.Port}; whether it passes them on shows with the first event")];
        return [Judge(url, Connect(url, stop))];
    }

    /// <param name="url">Where events go; path and query may be secret.</param>
    /// <param name="failure">Why no connection could be made, null when one could.</param>
    public static Finding Judge(Uri url, string? failure) => failure is null
        ? new(FindingLevel.Ok, Subject, $"{url.Host}:{url.Port} takes connections; nothing was posted")
        : new(FindingLevel.Warning, Subject, $"{url.Host}:{url.Port} cannot be reached ({failure}): events are tried again for 10 minutes, dumps do not wait for them", "correct --webhook, or let the firewall pass it");

    private static string? Connect(Uri url, CancellationToken stop)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(s_patience);
        using var client = new TcpClient();
        try
        {
            client.ConnectAsync(url.Host, url.Port, patience.Token).AsTask().GetAwaiter().GetResult();
            return null;
        }
        catch (SocketException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return "no answer";
        }
    }
}
