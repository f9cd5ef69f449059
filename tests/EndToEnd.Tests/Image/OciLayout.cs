using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;

namespace NetdumpCollector.EndToEnd.Tests.Image;

/// <summary>An image as a directory: blobs by digest, and an index that leads to the one image in it.</summary>
/// <remarks>Source: OCI Image Format Specification 1.1.</remarks>
internal sealed class OciLayout(string directory)
{
    private const string Algorithm = "sha256:";

    public JsonElement Index { get; } = Read(Path.Combine(directory, "index.json"));

    public string LayoutVersion => Read(Path.Combine(directory, "oci-layout")).GetProperty("imageLayoutVersion").GetString()!;

    public JsonElement Manifest => Read(BlobOf(Index.GetProperty("manifests").EnumerateArray().Single(), "application/vnd.oci.image.manifest.v1+json"));

    public JsonElement Configuration => Read(BlobOf(Manifest.GetProperty("config"), "application/vnd.oci.image.config.v1+json"));

    public IReadOnlyList<string> Blobs => [.. Directory.GetFiles(Path.Combine(directory, "blobs", "sha256")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    /// <summary>The layers as plain tar files below <paramref name="target"/>, the lowest first; each is what the configuration says.</summary>
    public IReadOnlyList<string> UnpackLayers(string target)
    {
        var layers = Manifest.GetProperty("layers").EnumerateArray().ToArray();
        var contents = Configuration.GetProperty("rootfs").GetProperty("diff_ids").EnumerateArray().Select(id => id.GetString()).ToArray();
        Assert.Equal(contents.Length, layers.Length);
        var files = new List<string>();
        for (int i = 0; i < layers.Length; i++)
        {
            string file = Path.Combine(target, $"layer{i}.tar");
            using (var blob = File.OpenRead(BlobOf(layers[i], "application/vnd.oci.image.layer.v1.tar+gzip")))
            using (var unzipped = new GZipStream(blob, CompressionMode.Decompress))
            using (var plain = File.Create(file))
                unzipped.CopyTo(plain);
            Assert.Equal(contents[i], DigestOf(file));
            files.Add(file);
        }

        return files;
    }

    /// <summary>The file that a descriptor is about; size, digest and type are right.</summary>
    private string BlobOf(JsonElement descriptor, string type)
    {
        Assert.Equal(type, descriptor.GetProperty("mediaType").GetString());
        string digest = descriptor.GetProperty("digest").GetString()!;
        string path = Path.Combine(directory, "blobs", "sha256", digest[Algorithm.Length..]);
        Assert.Equal(digest, DigestOf(path));
        Assert.Equal(descriptor.GetProperty("size").GetInt64(), new FileInfo(path).Length);
        return path;
    }

    private static string DigestOf(string path)
    {
        using var file = File.OpenRead(path);
        return Algorithm + Convert.ToHexStringLower(SHA256.HashData(file));
    }

    private static JsonElement Read(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }
}
