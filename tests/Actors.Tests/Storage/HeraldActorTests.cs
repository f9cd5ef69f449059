using System.Runtime.Versioning;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Actors.Tests.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Storage;

[UnsupportedOSPlatform("windows")]
public sealed class HeraldActorTests : IDisposable
{
    private const ushort Port = 20023;

    private readonly string _root = Directory.CreateTempSubdirectory("netdump-heralds-").FullName;
    private readonly DumpDirectory _directory;
    private readonly HeraldLedger _ledger;
    private readonly ManualDispatcher _dispatcher = new();
    private readonly ActorRef<SessionActor.Message> _session;
    private readonly ActorRef<HeraldActor.Message> _heralds;
    private int _noted;

    public HeraldActorTests()
    {
        _directory = DumpDirectory.Open(_root, null);
        _ledger = HeraldLedger.Open(_directory, Port)!;
        var system = new ActorSystem("test");
        _session = system.Spawn<SessionActor.Message>("session", _dispatcher, () => new Counter(() => _noted++), new() { MailboxCapacity = 2 * HeraldLedger.MaxHeralds });
        _heralds = system.Spawn<HeraldActor.Message>("heralds", _dispatcher, () => new HeraldActor(_ledger), new() { MailboxCapacity = 2 * HeraldLedger.MaxHeralds });
    }

    public void Dispose()
    {
        _ledger.Dispose();
        _directory.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public void Places_that_nobody_gave_back_are_free_again_after_the_longest_time_that_a_herald_counts()
    {
        for (uint i = 1; i <= HeraldLedger.MaxHeralds; i++)
            Remember(i);
        _dispatcher.Advance(20_000_000);
        var late = Remember(99_001);
        // All places are taken.
        Assert.True(_heralds.Tell(new HeraldActor.Forget(late)));
        _dispatcher.Advance(11_000_000);

        Remember(99_002);

        Assert.Equal(HeraldLedger.MaxHeralds + 2, _noted);
        _ledger.Dispose();
        using var next = HeraldLedger.Open(_directory, Port)!;
        Assert.Equal(new Ipv4(99_002), Assert.Single(next.LeftOver).Herald.Client);
    }

    private SessionRoute Remember(uint client)
    {
        var route = new SessionRoute { Ref = _session };
        Assert.True(_heralds.Tell(new HeraldActor.Remember(route, new(new(client), default, DateTimeOffset.UnixEpoch, []))));
        _dispatcher.RunAll();
        return route;
    }

    private sealed class Counter(Action count) : Actor<SessionActor.Message>
    {
        protected override void Receive(SessionActor.Message message) => count();
    }
}
