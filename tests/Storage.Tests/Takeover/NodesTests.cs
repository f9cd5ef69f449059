namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>Who sees to what follows a commit: the node that named the manifest, and when that is gone another one.</summary>
public sealed class NodesTests : IDisposable
{
    private static readonly TimeSpan s_silence = TimeSpan.FromMinutes(5);

    private readonly SharedDirectory _shared = new();

    public void Dispose() => _shared.Dispose();

    [Fact]
    public void The_manifest_names_the_node_that_brought_the_commit_to_its_end()
    {
        var client = new SharedClient(pages: 4);
        Assert.True(client.Send(_shared.Node("first").Begin(), bursts: 5));
        var dying = _shared.Node("dying");
        dying.Crash(SharedStep.MarkerDurable, 0, () => client.Send(dying), out bool hasCrashed);
        Assert.True(hasCrashed);

        Assert.Single(_shared.Node("heir").Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail)).File.RemoveLedger();

        Assert.Equal("heir", Manifest().Node);
    }

    /// <summary>The device refuses behind the marker, and before the node tries again another one has done all, and removed what was left.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_node_whose_commit_another_one_has_brought_to_its_end_finds_it_done(bool isElsewhere)
    {
        var failing = isElsewhere ? SharedStep.CoreOpened : SharedStep.ManifestDurable;
        var client = new SharedClient(pages: 4);
        Assert.True(client.Send(_shared.Node("first").Begin(), bursts: 2));
        var node = _shared.Node("slow");
        Assert.True(client.Send(node, bursts: 3));
        bool hasFailed = false;
        node.OnStep = step =>
        {
            if (step != failing || hasFailed)
                return;
            hasFailed = true;
            throw new StorageException("the device refuses");
        };
        Assert.True(client.Send(node));
        Assert.True(hasFailed);
        foreach (var left in _shared.Node("other").Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail))
            left.File.RemoveLedger();
        Assert.Empty(Directory.GetFileSystemEntries(Path.Join(_shared.Path, ".running")));

        Assert.True(node.File!.IsThere());
        Assert.Equal(isElsewhere, node.CommitElsewhere());

        // Who named it sees to what follows, once.
        Assert.Equal(isElsewhere ? "other" : "slow", Manifest().Node);
        node.Linger();
        _shared.AssertOneDump(client);
    }

    [Fact]
    public void A_node_whose_dump_another_one_took_and_committed_learns_that()
    {
        var client = new SharedClient(pages: 4);
        var slow = _shared.Node("slow").Begin();
        Assert.True(client.Send(slow, bursts: 2));
        var file = slow.File!;
        var other = _shared.Node("other");
        Assert.True(client.Send(other));
        other.Linger();
        Assert.DoesNotContain(_shared.Names, name => name.StartsWith("partial.", StringComparison.Ordinal));

        // So there is another attempt, which says so.
        Assert.True(file.IsThere());
        Assert.Throws<SupersededException>(() => slow.Directory.Commit(file, Dumps.TimedOut(8192), Dumps.Circumstances("web")));
    }

    [Fact]
    public void What_a_node_that_is_gone_has_left_is_taken_up_by_one_other()
    {
        string path = CommitWithScript("dead");
        Age("dead", TimeSpan.FromMinutes(6));
        var (a, b) = (_shared.Node("a").Directory, _shared.Node("b").Directory);

        var adopted = Assert.Single(a.AdoptFollowUps(s_silence, Assert.Fail));
        Assert.Empty(b.AdoptFollowUps(s_silence, Assert.Fail));

        Assert.Equal((path, "a", true), (adopted.ManifestPath, adopted.Manifest.Node, adopted.Manifest.ScriptPending));
        Assert.Equal("a", Manifest().Node);
        Assert.Equal(["node.a", "node.b"], Signs());

        // And should that one be gone as well before the script has ended, there is the next.
        Age("a", TimeSpan.FromMinutes(6));
        Assert.Equal("b", Assert.Single(b.AdoptFollowUps(s_silence, Assert.Fail)).Manifest.Node);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_a_node_that_lives_or_has_left_nothing_nothing_is_taken(bool lives)
    {
        string path = CommitWithScript("it");
        if (!lives)
        {
            Age("it", TimeSpan.FromMinutes(6));
            ManifestFile.Update(path, manifest => manifest with { ScriptPending = false, HashState = HashState.Done });
        }

        Assert.Empty(_shared.Node("a").Directory.AdoptFollowUps(s_silence, Assert.Fail));

        Assert.Equal("it", Manifest().Node);
        Assert.Equal(lives ? ["node.a", "node.it"] : ["node.a"], Signs());
    }

    private string[] Signs() => [.. Directory.EnumerateFiles(Path.Join(_shared.Path, ".running")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private Manifest Manifest() => ManifestFile.Read(Path.Join(_shared.Path, "dump.web.0.json"));

    /// <summary>A dump of that node, whose script has not ended; the node has given a sign of life.</summary>
    private string CommitWithScript(string name)
    {
        var node = _shared.Node(name);
        Assert.True(new SharedClient(pages: 2).Send(node.Begin()));
        node.Linger();
        Assert.Empty(node.Directory.AdoptFollowUps(s_silence, Assert.Fail));
        string path = Path.Join(_shared.Path, "dump.web.0.json");
        ManifestFile.Update(path, manifest => manifest with { ScriptPending = true });
        return path;
    }

    private void Age(string node, TimeSpan age) => File.SetLastWriteTimeUtc(Path.Join(_shared.Path, ".running", $"node.{node}"), DateTime.UtcNow - age);
}
