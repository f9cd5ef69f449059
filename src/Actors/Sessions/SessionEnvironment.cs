using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Protocol.Storm;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What all sessions of one event loop share.</summary>
public sealed class SessionEnvironment
{
    public required ActorSystem System { get; init; }

    /// <summary>The event loop sessions run on.</summary>
    public required IEventLoop EventLoop { get; init; }

    /// <summary>The same as the actors' dispatcher.</summary>
    public required IDispatcher Loop { get; init; }

    /// <summary>What each file system has of its own.</summary>
    public required FileSystems FileSystems { get; init; }

    public required DumpDirectory Directory { get; init; }
    public required SessionOptions Options { get; init; }
    public required HostNameResolver HostNames { get; init; }
    public required TimeProvider Time { get; init; }
    public required CollectorMetrics Metrics { get; init; }
    public required RejectLog Rejects { get; init; }
    public required ILogger Logger { get; init; }

    /// <summary>Decides how much of each dump is stored.</summary>
    public StormPolicy Storm { get; init; } = new(KeepPolicy.Full);

    /// <summary>Remembers heralds that were answered and that nothing followed yet, or null.</summary>
    public ActorRef<HeraldActor.Message>? Heralds { get; init; }

    /// <summary>Seeks sessions of other nodes that share the dump directory, or null where none does.</summary>
    public Takeovers? Takeovers { get; init; }

    /// <summary>Runs the operator's script after each dump, or null.</summary>
    public ActorRef<ScriptActor.Message>? Scripts { get; init; }

    /// <summary>Whether there is room for another dump.</summary>
    public Headroom Headroom { get; init; } = Headroom.Unlimited;

    /// <summary>Deletes what retention does not keep, or null when it keeps everything.</summary>
    public ActorRef<RetentionActor.Message>? Retention { get; init; }

    /// <summary>Has ended dumps brought to the object store, or null.</summary>
    public ActorRef<StoreActor.Message>? Store { get; init; }

    /// <summary>Makes dumps whole of which other nodes have a part, or null.</summary>
    public ActorRef<StitchActor.Message>? Stitching { get; init; }

    /// <summary>Makes room for dumps that wait for it, or null when nothing is deleted for them.</summary>
    public ActorRef<RetentionActor.Message>? Room { get; init; }

    /// <summary>Computes hashes after each dump, or null when that is off.</summary>
    public ActorRef<HashActor.Message>? Hashes { get; init; }
}
