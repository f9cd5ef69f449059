using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Looks in the dump directory that several nodes share for sessions of theirs whose packets come here now, and claims their dumps.</summary>
/// <remarks>On threads that may wait for the directory; one of a few, each for a share of the clients.</remarks>
internal sealed class TakeoverActor(TakeoverSetup setup) : Actor<TakeoverActor.Message>
{
    public abstract record Message;

    /// <summary>Packets came whose session this node does not have, or has not heard of for longer than a kernel is silent; answered by <see cref="IngressActor.FlowSought"/>, after what was found.</summary>
    /// <param name="Flow">The packets'.</param>
    /// <param name="Asked"><see cref="DumpDirectory.NextLook"/> when they came.</param>
    public sealed record Seek(FlowKey Flow, long Asked) : Message;

    private long _nextLineUs;

    protected override void Receive(Message message)
    {
        var (flow, asked) = (Seek)message;
        var ingress = setup.Ingresses.Of(flow.Remote);
        try
        {
            var dumps = setup.Directory.TakeOverFlow(flow.Local, flow.Remote, flow.RemotePort, Tell, asked);
            foreach (var dump in dumps.OrderBy(dump => dump.File.Identity.StartedAt))
                ingress.Tell(new IngressActor.ResumeDump(dump));
            var herald = dumps.Count > 0 ? null : setup.Directory.FindHerald(setup.HeraldPort, flow.Local, flow.Remote, flow.RemotePort, asked);
            if (herald is not null)
                ingress.Tell(new IngressActor.ResumeHerald(new(RememberedHerald.Elsewhere, herald)));
            setup.Metrics.AddSeek(dumps.Count > 0 || herald is not null ? SeekResult.Found : SeekResult.Nothing);
        }
        catch (StorageException e)
        {
            // The client repeats its packets, and with them comes the next attempt.
            setup.Metrics.AddSeek(SeekResult.Failed);
            Tell(e.Message);
        }
        finally
        {
            // Packets wait for it.
            ingress.Tell(new IngressActor.FlowSought(flow));
        }
    }

    /// <summary>Each client asks anew twice a second, and of a directory that does not answer all are told the same.</summary>
    private void Tell(string problem)
    {
        if (Context.NowUs < _nextLineUs)
            return;
        _nextLineUs = Context.NowUs + RejectLog.IntervalUs;
        CollectorLog.LeftAsItIs(setup.Logger, problem);
    }
}
