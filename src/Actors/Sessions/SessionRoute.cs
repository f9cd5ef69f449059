using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>What a session tells its ingress so that packets find it; written by the session, read by the ingress, both on one event loop.</summary>
public sealed class SessionRoute
{
    /// <summary>Address of the session; set once it is spawned.</summary>
    public ActorRef<SessionActor.Message> Ref { get; internal set; } = null!;

    /// <summary>When the herald came, by the machine's clock.</summary>
    public DateTimeOffset StartedAt { get; init; }

    /// <summary>The same by the loop's clock, in microseconds; before its beginning where an earlier process was heralded.</summary>
    internal long OpenedUs { get; init; }

    /// <summary>Tells how far the session is; asked on its event loop.</summary>
    internal Func<SessionStatus> Describe { get; init; } = null!;

    public SessionPhase Phase { get; internal set; } = SessionPhase.HalfOpen;

    /// <summary><see cref="SessionMilestone.Data"/> was reported.</summary>
    public bool HasData { get; internal set; }

    /// <summary>The session is gone.</summary>
    public bool HasStopped { get; internal set; }

    /// <summary><see cref="SessionMilestone.Ended"/> was reported.</summary>
    public bool HasEnded { get; internal set; }

    /// <summary><see cref="SessionMilestone.Settled"/> was reported.</summary>
    public bool HasSettled { get; internal set; }

    /// <summary>The session failed: <see cref="SessionMilestone.Settled"/> of what arrived comes when it is gone.</summary>
    internal bool SettlesWithoutSession { get; set; }

    /// <summary>When the session's last packet came, in microseconds.</summary>
    public long LastPacketUs { get; internal set; }

    /// <summary>When other nodes were last found to have nothing later of the flow, in microseconds; 0 while that was not asked.</summary>
    internal long SoughtUs { get; set; }

    /// <summary>Distinct bytes stored.</summary>
    public ulong CoveredBytes { get; internal set; }

    /// <summary>The last packets brought bytes that were not stored before.</summary>
    internal bool HasAdvanced { get; set; }

    /// <summary>One of the last packets, which were contested (<see cref="PacketRun.IsContested"/>), was not this session's.</summary>
    internal bool MetForeign { get; set; }

    /// <summary>
    /// Set on a tentative session while all it got are repeats of the older session's packets: their kernel lives and lost acks, so they win nothing.
    /// </summary>
    internal bool IsShadow { get; set; }

    /// <summary>The session's last packets wait to be stored elsewhere: what they are is known only then.</summary>
    internal bool AnswersLater { get; set; }

    /// <summary>Set on a tentative session once its kernel is known to be another one than the older session's: it gets all that it can have sent.</summary>
    internal bool IsProven { get; set; }

    internal uint ExpectedFirst { get; set; }

    internal uint ExpectedCount { get; set; }

    /// <summary>Why packets that the session does not take are lost: it is over, or held up by its storage.</summary>
    public RejectReason RefusalReason =>
        HasStopped || Phase is SessionPhase.Lingering or SessionPhase.Closed ? RejectReason.AfterEnd : RejectReason.Backpressure;

    /// <summary>A seqno that the session's kernel could send now.</summary>
    public bool Expects(uint seqno) => seqno - ExpectedFirst < ExpectedCount;

    internal void Publish(DumpSession session)
    {
        Phase = session.Phase;
        LastPacketUs = session.LastPacketUs;
        CoveredBytes = session.CoveredBytes;
        ExpectedFirst = session.ExpectedFirst;
        ExpectedCount = session.ExpectedCount;
    }
}

/// <summary>Steps of a session that its ingress acts on; each is reported once unless it says otherwise.</summary>
public enum SessionMilestone
{
    /// <summary>The first message after the herald came.</summary>
    Data,

    /// <summary>The first acks of dump bytes were released.</summary>
    FirstBurst,

    /// <summary>Packets that came while there was a rival advanced this session: its kernel lives. Not once, but each time that shows only after <see cref="SessionRoute.AnswersLater"/>.</summary>
    Advanced,

    /// <summary>Contested packets turned out to be another kernel's; likewise.</summary>
    MetForeign,

    /// <summary>The dump ended; the session only lingers.</summary>
    Ended,

    /// <summary>The ended dump is durable, or could not be made so.</summary>
    Settled,
}
