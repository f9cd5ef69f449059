using System.Security.Cryptography;

namespace NetdumpCollector.Collector.Pages;

/// <summary>A file that pages need, kept inside the program. Its address changes with its content, so that browsers may keep it forever.</summary>
internal sealed class PageAsset
{
    private const int HashChars = 16;

    private PageAsset(string name, string contentType)
    {
        using var stream = typeof(PageAsset).Assembly.GetManifestResourceStream(name)!;
        Content = new byte[stream.Length];
        stream.ReadExactly(Content);
        ContentType = contentType;
        Hash = Convert.ToHexStringLower(SHA256.HashData(Content))[..HashChars];
        Address = $"/assets/{Path.GetFileNameWithoutExtension(name)}.{Hash}{Path.GetExtension(name)}";
    }

    public static PageAsset Style { get; } = new("page.css", "text/css; charset=utf-8");

    public static PageAsset Script { get; } = new("page.js", "text/javascript; charset=utf-8");

    public static PageAsset Icon { get; } = new("icon.svg", "image/svg+xml");

    public static IReadOnlyList<PageAsset> All { get; } = [Style, Script, Icon];

    public byte[] Content { get; }

    public string ContentType { get; }

    public string Hash { get; }

    public string Address { get; }
}
