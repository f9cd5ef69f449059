namespace NetdumpCollector.Protocol.Tests;

/// <summary>Bytes from a real kernel (tests/Golden/README.md).</summary>
internal static class GoldenFiles
{
    public static byte[] Read(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Golden", name));
}
