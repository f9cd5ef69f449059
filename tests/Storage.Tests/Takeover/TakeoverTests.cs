namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>Nodes that take dumps over from each other.</summary>
public sealed class TakeoverTests : IDisposable
{
    private readonly SharedDirectory _shared = new();

    public void Dispose() => _shared.Dispose();

    [Fact]
    public void A_dump_that_nobody_takes_over_is_as_any_other()
    {
        var client = new SharedClient(pages: 3);

        Assert.True(client.Send(_shared.Node("a").Begin()));

        var manifest = _shared.AssertOneDump(client);
        Assert.Equal((null, null), (manifest.Epoch, manifest.Segments));
    }

    [Fact]
    public void Another_node_goes_on_where_one_ended_and_the_manifest_tells_who_had_what()
    {
        var client = new SharedClient(pages: 5);
        Assert.True(client.Send(_shared.Node("a").Begin(), bursts: 2));
        Assert.True(client.Send(_shared.Node("b"), bursts: 1));

        Assert.True(client.Send(_shared.Node("c")));

        var manifest = _shared.AssertOneDump(client);
        Assert.Equal(3, manifest.Epoch);
        Assert.Equal([new(1, "a", 8192, 1), new(2, "b", 4096, 1), new(3, "c", 8192, 1)], manifest.Segments!);
    }

    [Fact]
    public void Who_was_taken_over_writes_acks_and_commits_nothing_any_more()
    {
        var client = new SharedClient(pages: 4);
        var slow = _shared.Node("slow").Begin();
        Assert.True(client.Send(slow, bursts: 2));
        var file = slow.File!;
        Assert.False(file.IsSuperseded());

        Assert.True(client.Send(_shared.Node("fast"), bursts: 1));

        Assert.True(file.IsSuperseded());
        var thrown = Assert.Throws<SupersededException>(() => slow.Directory.Commit(file, Dumps.TimedOut(8192), Dumps.Circumstances("web"), () => Assert.Fail("nothing is promised")));
        Assert.Equal((false, false), (thrown.IsCommitted, thrown.IsWhole));
    }
}
