using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>A directory that nodes share, and what must be true of it when all is over.</summary>
internal sealed class SharedDirectory : IDisposable
{
    private readonly TempDirectory _temp = TempDirectory.InMemory();
    private readonly List<SharedNode> _nodes = [];

    public string Path => _temp.Path;

    public string[] Names => _temp.Names;

    public SharedNode Node(string name)
    {
        var node = new SharedNode(_temp.Path, name);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Nodes stop answering, what is left is seen to, and then there is one dump and nothing else.</summary>
    public Manifest AssertOneDump(SharedClient client)
    {
        foreach (var node in _nodes)
            node.Linger();
        using (var janitor = new SharedNode(_temp.Path, "janitor"))
        {
            for (int i = 0; i < 3; i++)
            {
                foreach (var left in janitor.Directory.ClaimAbandoned(TimeSpan.Zero, janitor.Problems.Add))
                {
                    Assert.True(left.Saved is null, "nobody's dump is left where its client is done");
                    left.File.RemoveLedger();
                }
            }

            Assert.Empty(janitor.Problems);
            Assert.Empty(janitor.Directory.ClaimAbandoned(TimeSpan.Zero, janitor.Problems.Add));
        }

        string name = Assert.Single(Names, name => name.StartsWith("dump.", StringComparison.Ordinal));
        var manifest = ManifestFile.Read(_temp.File(name));
        Assert.Equal((DumpStatus.Complete, (ulong)client.Content.Length, 0ul), (manifest.Status, manifest.Bytes, manifest.MissingBytes));
        Assert.Equal(client.Content, File.ReadAllBytes(_temp.File(manifest.Files.Vmcore)));
        string[] expected = [".running", "bounds.web", name, manifest.Files.Info, "info.web.last", manifest.Files.Vmcore, "vmcore.web.last"];
        Assert.Equal(expected.Order(StringComparer.Ordinal), Names);
        Assert.Empty(Directory.GetFileSystemEntries(_temp.File(".running")));
        return manifest;
    }

    public void Dispose()
    {
        foreach (var node in _nodes)
            node.Dispose();
        _temp.Dispose();
    }
}
