namespace NetdumpCollector.Collector.Pages;

/// <summary>A page as it is sent.</summary>
/// <param name="Status">HTTP's status code.</param>
/// <param name="Html">The document, in UTF-8.</param>
internal sealed record RenderedPage(int Status, byte[] Html);
