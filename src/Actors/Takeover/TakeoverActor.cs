using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Looks in the dump directory that several nodes share for sessions of theirs whose packets come here now, and claims their dumps.</summary>
/// <remarks>On threads that may wait for the directory; one of a few, each for a share of the clients.</remarks>
internal sealed class TakeoverActor(DumpDirectory directory, ushort heraldPort, IngressGroup ingresses, ILogger logger) : Actor<TakeoverActor.Message>
{
    public abstract record Message;

    /// <summary>Packets came whose session this node does not have, or has not heard of for longer than a kernel is silent; answered by <see cref="IngressActor.FlowSought"/>, after what was found.</summary>
    public sealed record Seek(FlowKey Flow) : Message;

    protected override void Receive(Message message)
    {
        var flow = ((Seek)message).Flow;
        var ingress = ingresses.Of(flow.Remote);
        try
        {
            var dumps = directory.TakeOverFlow(flow.Local, flow.Remote, flow.RemotePort, problem => CollectorLog.LeftAsItIs(logger, problem));
            foreach (var dump in dumps.OrderBy(dump => dump.File.Identity.StartedAt))
                ingress.Tell(new IngressActor.ResumeDump(dump));
            if (dumps.Count == 0 && HeraldLedger.Find(directory, heraldPort, flow.Local, flow.Remote, flow.RemotePort) is { } herald)
                ingress.Tell(new IngressActor.ResumeHerald(new(RememberedHerald.Elsewhere, herald)));
        }
        catch (StorageException e)
        {
            // The client repeats its packets, and with them comes the next attempt.
            CollectorLog.LeftAsItIs(logger, e.Message);
        }
        finally
        {
            // Packets wait for it.
            ingress.Tell(new IngressActor.FlowSought(flow));
        }
    }
}
