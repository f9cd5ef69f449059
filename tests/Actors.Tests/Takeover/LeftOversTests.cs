using System.Runtime.Versioning;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Tests.Takeover;

/// <summary>What is left by a node that is gone.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class LeftOversTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("netdump-leftovers-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task The_script_and_the_hash_of_a_node_that_is_gone_are_another_ones()
    {
        CatalogedDump dump;
        await using (var dead = await RunningCollector.StartAsync(new() { Transport = "portable", Mode = EndpointMode.Shared, Node = "dead", Directory = _root }))
        {
            using var client = dead.NewClient();
            var sent = new TestDump(100_000);
            client.SendDump(sent);
            await dead.AssertComplete(client, sent);
            dump = Assert.Single(dead.Dumps);
        }

        Assert.Equal("dead", dump.Manifest.Node);
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with { ScriptPending = true, HashState = HashState.Pending });
        string sign = Path.Join(_root, ".running", "node.dead");
        File.WriteAllText(sign, "\n");
        File.SetLastWriteTimeUtc(sign, DateTime.UtcNow - FollowUpsActor.GoneAfter);

        using var directory = DumpDirectory.Open(_root, defaultPath: null);
        directory.Sharing = new("heir");
        var system = new ActorSystem("test", (path, failure) => Assert.Fail($"{path}: {failure}"));
        using var metrics = new CollectorMetrics(TimeProvider.System);
        using var threads = new ThreadDispatcher("test", 1);
        var script = new TaskCompletionSource<ScriptActor.DumpCommitted>(TaskCreationOptions.RunContinuationsAsynchronously);
        var hash = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var setup = new TakeoverSetup(directory, HeraldPort: 0, new IngressGroup(1), TimeSpan.FromMinutes(10), metrics, new RecordingLogger())
        {
            Scripts = system.Spawn<ScriptActor.Message>("script", threads, () => new Probe<ScriptActor.Message>(message => script.SetResult((ScriptActor.DumpCommitted)message)), new()),
            Hashes = system.Spawn<HashActor.Message>("hash", threads, () => new Probe<HashActor.Message>(message => hash.SetResult(((HashActor.HashDump)message).ManifestPath)), new()),
        };
        system.Spawn<FollowUpsActor.Look>("follow-ups", threads, () => new FollowUpsActor(setup), new());

        var told = await script.Task.WaitAsync(Eventually.Deadline);
        Assert.Equal((dump.Manifest.Id, dump.ManifestPath, "heir"), (told.Dump.Id, told.Dump.ManifestPath, told.Dump.Manifest.Node));
        Assert.Equal(dump.Manifest.Client, told.Client.ToString());
        Assert.Equal(dump.ManifestPath, await hash.Task.WaitAsync(Eventually.Deadline));
        Assert.Equal("heir", ManifestFile.Read(dump.ManifestPath).Node);
        Assert.True(await system.StopAsync(Eventually.Deadline));
    }

    private sealed class Probe<TMessage>(Action<TMessage> onMessage) : Actor<TMessage>
        where TMessage : class
    {
        protected override void Receive(TMessage message) => onMessage(message);
    }
}
