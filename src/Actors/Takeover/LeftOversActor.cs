using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Ends what no node goes on with in a shared dump directory: dumps whose kernels have been silent for longer than their owner would have waited, and commits that were left in the middle.</summary>
/// <remarks>Each node looks now and then; which of them ends a dump is decided in the directory.</remarks>
internal sealed class LeftOversActor(TakeoverSetup setup) : Actor<LeftOversActor.Look>
{
    /// <summary>It is time.</summary>
    public sealed record Look;

    private const long IntervalUs = 15_000_000;

    private IActorTimer _timer = null!;

    protected override void PreStart()
    {
        _timer = Context.CreateTimer(new Look());
        // Not at once: nodes that were restarted together need not all look at one moment, and nothing is urgent.
        _timer.Arm(Context.NowUs + Random.Shared.NextInt64(IntervalUs / 6, IntervalUs));
    }

    protected override void Receive(Look message)
    {
        try
        {
            foreach (var dump in setup.Directory.ClaimAbandoned(setup.Silence, Tell))
                setup.Ingresses.Of(dump.File.Identity.Client).Tell(new IngressActor.ResumeDump(dump) { IsAbandoned = true });
        }
        catch (StorageException e)
        {
            Tell(e.Message);
        }
        finally
        {
            _timer.Arm(Context.NowUs + IntervalUs);
        }
    }

    private void Tell(string problem) => CollectorLog.LeftAsItIs(setup.Logger, problem);

    protected override void PostStop(Exception? failure) => _timer.Arm(long.MaxValue);
}
