using System.Text;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.Extensions.Logging.Abstractions;

namespace NetdumpCollector.Collector.Pages;

/// <summary>Makes documents of components.</summary>
internal static class PageRenderer
{
    private static readonly NoServices s_noServices = new();

    /// <summary>Renders a component on this side, once: it has no services and no life of its own.</summary>
    public static async Task<RenderedPage> RenderAsync<TComponent>(int status, IReadOnlyDictionary<string, object?> parameters) where TComponent : IComponent
    {
        var renderer = new HtmlRenderer(s_noServices, NullLoggerFactory.Instance);
        await using (renderer.ConfigureAwait(false))
        {
            string html = await renderer.Dispatcher.InvokeAsync(async () =>
                (await renderer.RenderComponentAsync<TComponent>(ParameterView.FromDictionary(new Dictionary<string, object?>(parameters))).ConfigureAwait(true)).ToHtmlString()).ConfigureAwait(false);
            return new(status, Encoding.UTF8.GetBytes(html));
        }
    }

    private sealed class NoServices : IServiceProvider
    {
        public object? GetService(Type serviceType) => null;
    }
}
