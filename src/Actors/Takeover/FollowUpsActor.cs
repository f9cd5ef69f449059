using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Gives this node's signs of life in a shared dump directory, and sees to what was to follow the dumps of a node that gives none.</summary>
/// <remarks>Apart from <see cref="LeftOversActor"/>, because joining a dump may take longer than a node may be silent.</remarks>
internal sealed class FollowUpsActor(TakeoverSetup setup) : Actor<FollowUpsActor.Look>
{
    /// <summary>It is time.</summary>
    public sealed record Look;

    private const long IntervalUs = 15_000_000;

    /// <summary>A node that has given no sign of life for so long is gone: many looks, and longer than a restart takes, after which it sees to its own.</summary>
    internal static readonly TimeSpan GoneAfter = TimeSpan.FromMinutes(5);

    private IActorTimer _timer = null!;

    protected override void PreStart()
    {
        _timer = Context.CreateTimer(new Look());
        // At once: what a node leaves that never gave a sign nobody would see to.
        Self.Tell(new());
    }

    protected override void Receive(Look message)
    {
        try
        {
            foreach (var dump in setup.Directory.AdoptFollowUps(GoneAfter, problem => CollectorLog.LeftAsItIs(setup.Logger, problem)))
                Follow(dump);
        }
        finally
        {
            _timer.Arm(Context.NowUs + IntervalUs);
        }
    }

    protected override void PostStop(Exception? failure) => _timer.Arm(long.MaxValue);

    private void Follow(CommittedDump dump)
    {
        if (dump.Manifest.ScriptPending && Ipv4.TryParse(dump.Manifest.Client, out var client))
            setup.Scripts?.Tell(new ScriptActor.DumpCommitted(dump, client));
        if (dump.Manifest.HashState == HashState.Pending)
            setup.Hashes?.Tell(new HashActor.HashDump(dump.ManifestPath));
    }
}
