using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Tests.Runtime;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Aftermath;

public sealed class RetentionActorTests : IDisposable
{
    private const int LogDeletionFailed = 1032;
    private const int LogLeavesOut = 1034;
    private const long LookEveryUs = 600_000_000;

    private readonly string _root = Directory.CreateTempSubdirectory("netdump-retention-").FullName;
    private readonly ManualDispatcher _dispatcher = new();
    private readonly RecordingLogger _log = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void What_an_interrupted_deletion_leaves_goes_at_the_next_look_also_without_a_policy()
    {
        Begin(new());

        // What is in the way of finishing stays, and is told of once.
        string hidden = Path.Join(_root, "dump.web.0.json.deleted");
        File.WriteAllText(hidden, "{");
        for (int look = 0; look < 3; look++)
            _dispatcher.Advance(LookEveryUs);
        Assert.Equal(1, _log.Count(LogDeletionFailed));

        File.WriteAllText(hidden, Manifest);
        File.WriteAllText(Path.Join(_root, "vmcore.web.0"), "core");
        _dispatcher.Advance(LookEveryUs);
        Assert.Empty(Directory.GetFileSystemEntries(_root));
    }

    [Fact]
    public void A_manifest_that_cannot_be_read_is_told_of_once_for_as_long_as_it_is_there()
    {
        string bad = Path.Join(_root, "dump.web.0.json");
        File.WriteAllText(bad, "{");

        Begin(new() { MaxPerHost = 1 });
        _dispatcher.Advance(LookEveryUs);
        Assert.Contains(bad, Assert.Single(_log.All.Split('\n'), line => line.StartsWith($"{LogLeavesOut} ", StringComparison.Ordinal)), StringComparison.Ordinal);

        File.Delete(bad);
        _dispatcher.Advance(LookEveryUs);
        File.WriteAllText(bad, "{");
        _dispatcher.Advance(LookEveryUs);
        Assert.Equal(2, _log.Count(LogLeavesOut));
    }

    private const string Manifest = """
        {"schema":1,"id":"20261121T013940Z-00000001","client":"10.0.0.1","host":"web","index":0,"startedAt":"2026-11-21T01:39:40Z","endedAt":"2026-11-21T01:39:41Z","durationSeconds":1,
        "status":"incomplete","reason":"clientTimedOut","bytes":4,"coveredBytes":4,"endpoint":{"mode":"ephemeral","address":"127.0.0.1","port":20100},"packets":0,"retransmissions":0,"bursts":0,
        "quietBursts":0,"acks":0,"rejected":0,"payloadBytes":4,"packetPayloadBytes":0,"missing":[],"missingBytes":0,"missingRanges":0,"damaged":[],"overwritten":[],"relocated":false,
        "hashState":"off","files":{"vmcore":"vmcore.web.0","info":"info.web.0","key":null}}
        """;

    private void Begin(RetentionPolicy policy)
    {
        var system = new ActorSystem("test", (path, failure) => Assert.Fail($"{path}: {failure}"));
        var retention = system.Spawn<RetentionActor.Message>("retention", _dispatcher,
            () => new RetentionActor(new(_root, policy, Headroom.Unlimited, new(TimeSpan.Zero)), TimeProvider.System, new(TimeProvider.System), _log, CancellationToken.None));
        retention.Tell(new RetentionActor.Begin());
        _dispatcher.RunAll();
    }
}
