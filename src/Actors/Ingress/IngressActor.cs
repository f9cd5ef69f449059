using System.Runtime.InteropServices;
using System.Text;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Takes heralds, opens a session for each client and brings packets of the shared port to their sessions.</summary>
/// <remarks>
/// One per event loop, each with a herald socket of its own on the same port. A client belongs to one of them by its address, so that nothing of a client is ever
/// shared by two loops; the kernel brings its packets to the right one, and what comes to another is passed on.
/// </remarks>
public sealed class IngressActor(SessionEnvironment environment, IngressOptions options, IngressGroup group, int shard, TaskCompletionSource<IUdpEndpoint> bound)
    : Actor<IngressActor.Message>, IDatagramReceiver
{
    public abstract record Message;

    /// <summary>Answers no more heralds; the reply comes when every running dump has ended and is durable, or could not be made so.</summary>
    public sealed record Drain(Reply<bool> Drained) : Message;

    /// <summary>The reply comes when no dump is being made durable; others may still run.</summary>
    public sealed record AwaitCommits(Reply<bool> Done) : Message;

    /// <summary>Continues a dump of an earlier process, or its answers to a repeated FINISHED.</summary>
    public sealed record ResumeDump(InterruptedDump Dump) : Message, IOwningMessage
    {
        /// <summary>Its kernel has been silent for too long: it only comes to its end here.</summary>
        public bool IsAbandoned { get; init; }

        /// <summary>Its files stay for whoever finds it next, this process included.</summary>
        public void OnDeadLetter() => Dump.File.Dispose();
    }

    /// <summary>Continues a session that an earlier process had answered a herald for.</summary>
    public sealed record ResumeHerald(RememberedHerald Remembered) : Message;

    /// <summary>What other nodes had of a flow has been told of (<see cref="ResumeDump"/>, <see cref="ResumeHerald"/>).</summary>
    internal sealed record FlowSought(FlowKey Flow) : Message;

    /// <summary>The reply comes when everything that was to be continued before it is.</summary>
    public sealed record AwaitResumed(Reply<bool> Done) : Message;

    /// <summary>Asks how far this loop's sessions are, and how its herald socket does.</summary>
    public sealed record Look(Reply<IngressStatus> Status) : Message;

    /// <summary>Asks for nothing but that what waits is handled.</summary>
    private sealed record Nothing : Message;

    /// <summary>A session came a step further.</summary>
    private sealed record Reached(FlowKey Key, SessionRoute Session, SessionMilestone Milestone) : Message;

    /// <summary>A dump was not begun because there are as many as may be.</summary>
    private sealed record MakeRoom : Message;

    /// <summary>A session is gone.</summary>
    private sealed record SessionStopped(FlowKey Key, SessionRoute Session) : Message;

    /// <summary>Packets of one client on their way to its loop. Not a message, see <see cref="OnRun"/>.</summary>
    private sealed class Forwarded(IngressActor owner, IngressGroup group, StagingPool pool, Staging packets) : ILoopWork
    {
        public void Run()
        {
            try
            {
                owner.OnRun(packets.Datagrams);
            }
            finally
            {
                group.Release(pool, packets);
            }
        }
    }

    /// <summary>Looking through all clients for one that is over takes up to a tenth of a millisecond.</summary>
    private const long SilentSearchIntervalUs = 10_000;

    /// <summary>Flows that are remembered as sought at other nodes.</summary>
    private const int MaxSoughtFlows = 16_384;

    private readonly Dictionary<FlowKey, ClientEntry> _clients = [];
    private readonly SessionPorts _ports = new(options.SessionPorts, shard, group.Count);
    private readonly PacketRun _run = new();
    private readonly Nothing _nothing = new();
    private IUdpEndpoint? _socket;
    private readonly HalfOpenSessions _halfOpen = new();
    private readonly SoughtFlows _sought = new(MaxSoughtFlows, () => group.TryLease(environment.FileSystems.Stagings), () => environment.Metrics.AddSeek(SeekResult.Refused));
    private long _nextSilentSearchUs;
    private long _nextFallbackLineUs;
    private int _unsettled;
    private int _committing;
    private Reply<bool>? _drained;
    private Reply<bool>? _committed;
    private bool _answersFromHeraldPort = options.Mode == EndpointMode.Shared;

    void IDatagramReceiver.OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams) => OnRun(datagrams);

    /// <summary>Brings packets of one client to their sessions.</summary>
    /// <remarks>
    /// As work of the loop and not as a message: a session writes inline, and while its write holds this thread up the loop's next thread must find the ingress free. So nothing of the ingress's is
    /// touched after a session was handed something and the loop has gone on.
    /// </remarks>
    private void OnRun(ReadOnlySpan<Datagram> run)
    {
        if (Context.IsStopping)
            return;
        if (!group.Owns(shard, run[0].Remote))
        {
            Forward(run);
            return;
        }

        if (FindOnly(run) is { } only)
        {
            HandTo(only, run);
            return;
        }

        // What was told before these packets came is known when they are looked at.
        if (Context.QueueLength > 0)
            Self.TryHandleNow(_nothing);
        for (int i = 0; i < run.Length && !environment.Loop.HasMovedOn; i++)
            OnSingle(run.Slice(i, 1));
    }

    /// <summary>Hands packets to a session; those that it does not take are lost, as on any network.</summary>
    /// <returns>It took them, and the loop has not gone on without this thread.</returns>
    private bool HandTo(SessionRoute session, ReadOnlySpan<Datagram> run, bool hasRival = false, bool isContested = false)
    {
        bool isTaken = _run.DeliverTo(session.Ref, run, hasRival, isContested);
        if (environment.Loop.HasMovedOn)
            return false;
        if (!isTaken)
            Reject(session.RefusalReason, run[0]);
        return isTaken;
    }

    protected override void PreStart()
    {
        try
        {
            _socket = environment.EventLoop.Open(
                new()
                {
                    Address = options.Address,
                    Port = options.HeraldPort,
                    ReceiveBufferBytes = options.Mode == EndpointMode.Shared ? options.SharedBufferBytes : options.HeraldBufferBytes,
                    ManySources = true,
                    Shard = shard,
                    Shards = group.Count,
                },
                this);
            group.Join(shard, this);
            bound.SetResult(_socket);
        }
        catch (EndpointException e)
        {
            bound.SetException(e);
            Context.Stop();
        }
    }

    protected override void PostStop(Exception? failure) => _socket?.Dispose();

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Reached reached:
                OnReached(reached);
                break;
            case SessionStopped stopped:
                OnSessionStopped(stopped);
                break;
            case MakeRoom:
                _ = TryEndLongestSilent();
                break;
            case Drain drain:
                _drained = drain.Drained;
                AnswerWaiting();
                break;
            case AwaitCommits wait:
                _committed = wait.Done;
                AnswerWaiting();
                break;
            case ResumeDump resume:
                OnResume(resume.Dump, resume.IsAbandoned);
                break;
            case ResumeHerald resume:
                OnResumeHerald(resume.Remembered);
                break;
            case FlowSought sought:
                OnSought(sought.Flow);
                break;
            case AwaitResumed wait:
                wait.Done.Send(true);
                break;
            case Look look:
                look.Status.Send(new(
                    [.. _clients.Values.SelectMany(entry => entry.Sessions).Select(session => session.Describe())], _socket?.Drops ?? 0, Context.QueueLength));
                break;
        }
    }

    private void Forward(ReadOnlySpan<Datagram> run)
    {
        if (group.OwnerOf(run[0].Remote) is not { } owner || group.TryLease(environment.FileSystems.Stagings) is not { } copies)
        {
            Reject(RejectReason.Backpressure, run[0]);
            return;
        }

        foreach (ref readonly var datagram in run)
        {
            if (!copies.TryAdd(datagram))
                Reject(RejectReason.Backpressure, datagram);
        }

        owner.Post(copies);
    }

    /// <summary>Passes on packets of this loop's clients that came to another loop's socket, which calls it there, or that had to wait.</summary>
    private void Post(Staging packets) => environment.EventLoop.Post(new Forwarded(this, group, environment.FileSystems.Stagings, packets));

    /// <summary>The running session that all packets of the run go to, where there is no choice.</summary>
    private SessionRoute? FindOnly(ReadOnlySpan<Datagram> run) =>
        Find(run[0]) is { Older: null, Newest: { Phase: SessionPhase.Receiving } only } entry && entry.Key.RemotePort != 0 && !HasHerald(run) && !IsStale(only) ? only : null;

    private static bool HasHerald(ReadOnlySpan<Datagram> run)
    {
        foreach (ref readonly var datagram in run)
        {
            if (MessageHeader.TryRead(datagram.Span, out var header) && header.Type == MessageType.Herald)
                return true;
        }

        return false;
    }

    private void OnSingle(ReadOnlySpan<Datagram> single)
    {
        ref readonly var datagram = ref single[0];
        if (!MessageHeader.TryRead(datagram.Span, out var header))
        {
            RejectStray(datagram.Length < MessageHeader.SizeBytes ? RejectReason.Runt : RejectReason.WrongLength, datagram);
            return;
        }

        if (header.Type == MessageType.Herald)
        {
            OnHerald(single, header);
            return;
        }

        var entry = Find(datagram);
        if (entry is null || entry.Key.RemotePort == 0)
        {
            if (!TrySeekElsewhere(datagram, header.Type) && !TryContinue(single, header, entry: null))
                RejectStray(header.Type is < MessageType.Herald or > MessageType.EkcdKey ? RejectReason.UnknownType : RejectReason.NoSession, datagram);
            return;
        }

        var session = entry.Find(header, Context.NowUs, environment.Options.RetryBudgetUs);
        if (session is not null && session == entry.Older)
        {
            DeliverToOlder(entry, session, header, single);
            return;
        }

        if (session is null or { Phase: not (SessionPhase.HalfOpen or SessionPhase.Receiving) } && TryContinue(single, header, entry))
            return;

        if (session is null || MayGoOnElsewhere(session, header.Type))
        {
            if (!TrySeekElsewhere(datagram, header.Type))
                Reject(RejectReason.NoSession, datagram);
            return;
        }

        session.IsShadow = false;
        HandTo(session, single);
    }

    private void OnSought(FlowKey flow)
    {
        foreach (var session in _clients.GetValueOrDefault(flow)?.Sessions ?? [])
            session.SoughtUs = Context.NowUs;
        if (_sought.End(flow, Context.NowUs) is { } packets)
            Post(packets);
    }

    /// <summary>The packet may be of a later dump that began at another node: this session is over, or has heard nothing for longer than a kernel is silent.</summary>
    private bool MayGoOnElsewhere(SessionRoute session, MessageType type) => environment.Takeovers is not null && type != MessageType.Finished && session.Phase switch
    {
        SessionPhase.Receiving => IsStale(session),
        SessionPhase.HalfOpen => false,
        _ => true,
    };

    private bool IsStale(SessionRoute session) =>
        environment.Takeovers is not null && Context.NowUs - Math.Max(session.LastPacketUs, session.SoughtUs) > environment.Options.RetryBudgetUs;

    /// <summary>Another node may have the session that a packet belongs to.</summary>
    /// <returns>The packet waits until that has been found out; else it is lost, and the client repeats it within a second.</returns>
    private bool TrySeekElsewhere(in Datagram datagram, MessageType type)
    {
        if (environment.Takeovers is not { } takeovers || type is not (MessageType.Herald or MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey or MessageType.Finished)
            || !group.Admission.Allows(datagram.Remote))
            return false;
        var flow = new FlowKey(datagram.Local, datagram.Remote, datagram.RemotePort);
        if (!_sought.Add(flow, datagram, Context.NowUs, out bool isHeld) || takeovers.Seek(flow))
            return isHeld;
        environment.Metrics.AddSeek(SeekResult.Refused);
        if (_sought.End(flow, Context.NowUs) is { } packets)
            group.Release(environment.FileSystems.Stagings, packets);
        return false;
    }

    /// <summary>A node that is gone had the session, and nothing of its dump is here: the rest of it becomes a dump of its own, a part that is stitched to the others when all have ended.</summary>
    /// <remarks>Nothing is asked for it: what the other nodes had is known, as of a moment ago. FINISHED begins nothing, because it would be all there is.</remarks>
    private bool TryContinue(ReadOnlySpan<Datagram> single, in MessageHeader header, ClientEntry? entry)
    {
        ref readonly var datagram = ref single[0];
        if (group.Fleet is not { } fleet || header.Type is not (MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey) || _drained is not null || group.IsResuming
            || fleet.FindOrphan(datagram.Remote, datagram.RemotePort, environment.Time) is not var (orphan, silence) || entry?.Sessions.Any(session => Context.NowUs - session.OpenedUs < silence.TotalMicroseconds) == true)
            return false;
        // A kernel that goes on sends what it has no ack for: another panic of the host begins at 0.
        if (header.Type == MessageType.Vmcore && orphan.Bytes > WellKnown.BurstBytes && header.Offset < (ulong)orphan.Bytes - WellKnown.BurstBytes)
            return false;

        if (RefusalOfHerald(datagram, entry) is { } refusal)
        {
            Reject(refusal, datagram);
            return true;
        }

        if (_halfOpen.Count >= MaxHalfOpen)
            EvictOldestHalfOpen(datagram);
        var key = new FlowKey(datagram.Local, datagram.Remote, datagram.RemotePort);
        var session = DumpSession.Continue(environment.Options, Encoding.UTF8.GetBytes(Path.GetDirectoryName(orphan.Path) ?? ""), Context.NowUs);
        var actor = new SessionActor(environment, new(datagram.Local, datagram.Remote, datagram.RemotePort, datagram.RemotePort), _socket, session, environment.Time.GetUtcNow(),
            () => RefusalOfDump(key), (route, milestone) => Self.Deliver(new Reached(key, route, milestone)));
        actor.Continues(orphan.ContinueElsewhere());
        Register(key, actor, ref entry).Add(actor.Route);
        environment.Metrics.SessionContinued();
        CollectorLog.Continued(environment.Logger, datagram.Remote, orphan.DumpId, orphan.Node);
        HandTo(actor.Route, single);
        return true;
    }

    /// <summary>
    /// A packet that both kernels could have sent goes to both sessions, unless the older one advances by it: what differs from the older one's bytes is
    /// the newer one's, and what does not differ may be acked by either, because both have it.
    /// </summary>
    private void DeliverToOlder(ClientEntry entry, SessionRoute older, in MessageHeader header, ReadOnlySpan<Datagram> single)
    {
        var newest = entry.Newest!;
        // No kernel begins with its end: a header or FINISHED that the older session expects is its own.
        bool isEnd = header.Type is MessageType.Kdh or MessageType.Finished;
        bool isContested = !isEnd && newest.Expects(header.Seqno);
        if (!HandTo(older, single, hasRival: true, isContested))
            return;

        if (isEnd || (!older.AnswersLater && older.HasAdvanced))
        {
            // The older session advances, so its kernel lives and the herald was a late duplicate.
            newest.Ref.Deliver(new SessionActor.Discard());
        }
        else if (isContested && !older.AnswersLater)
        {
            // What is stored elsewhere is judged when it is (Advanced, MetForeign); until then the packet is nobody else's.
            newest.IsShadow &= !older.MetForeign;
            HandTo(newest, single);
        }
    }

    private void OnHerald(ReadOnlySpan<Datagram> single, in MessageHeader header)
    {
        ref readonly var datagram = ref single[0];
        var entry = Find(datagram);
        if (entry?.Newest is { } newest && (newest.Phase == SessionPhase.HalfOpen || (newest.Phase == SessionPhase.Receiving && entry.Older is not null)))
        {
            environment.Metrics.AddHerald(HeraldResult.Repeated);
            HandTo(newest, single);
            return;
        }

        if (_drained is not null || group.IsResuming)
        {
            environment.Metrics.AddHerald(HeraldResult.Unanswered);
            return;
        }

        // A dump of the host that another node still has is this one's first: that node must ack nothing of what comes now.
        // Not for one that opens no session whatever is found.
        if (environment.Takeovers is not null && group.Admission.RefusalOf(datagram.Remote, Context.NowUs) is null
            && !_sought.MayOpen(new(datagram.Local, datagram.Remote, datagram.RemotePort), Context.NowUs) && TrySeekElsewhere(datagram, header.Type))
            return;

        if (RefusalOfHerald(datagram, entry) is { } refusal)
        {
            environment.Metrics.AddHerald(HeraldResult.Refused);
            Reject(refusal, datagram);
            return;
        }

        environment.Metrics.AddHerald(IsRunning(entry?.Newest) ? HeraldResult.Tentative : HeraldResult.Opened);
        if (_halfOpen.Count >= MaxHalfOpen)
            EvictOldestHalfOpen(datagram);

        var session = OpenSession(datagram, header.Seqno, ref entry);
        HandTo(session, single);
    }

    private int MaxHalfOpen => Math.Max(1, options.MaxHalfOpen / group.Count);

    /// <summary>Why a herald opens no session, or null.</summary>
    private RejectReason? RefusalOfHerald(in Datagram datagram, ClientEntry? entry)
    {
        if (group.Admission.RefusalOf(datagram.Remote, Context.NowUs) is { } refusal)
            return refusal;

        // A host that panics anew takes the place of its older dump, which ends by that.
        if (!group.HasRoom(options) && !IsRunning(entry?.Newest) && !TryEndLongestSilent())
            return RejectReason.TooManySessions;

        // Those that have to go need a moment; heralds that come faster than that find no room.
        return _halfOpen.Count >= 2 * MaxHalfOpen ? RejectReason.TooManyHalfOpen : null;
    }

    private SessionRoute OpenSession(in Datagram datagram, uint heraldSeqno, ref ClientEntry? entry)
    {
        var key = entry?.Key ?? (options.Mode == EndpointMode.Shared
            ? new(datagram.Local, datagram.Remote, datagram.RemotePort)
            : FlowKey.OfHost(datagram.Remote));
        SessionActor? actor = null;
        if (key.RemotePort == 0 && group.OwnEndpoints >= options.MaxOwnEndpoints)
        {
            key = ServeFromHeraldPort(datagram, "the descriptors for it are used up");
            entry = null;
        }
        else if (key.RemotePort == 0 && entry is null && !group.Admission.HasRoomForEndpoint)
        {
            key = ServeFromHeraldPort(datagram, "too many heralds have not been followed by data");
        }
        else if (key.RemotePort == 0)
        {
            actor = NewSession(key, datagram, heraldSeqno, endpoint: null);
            try
            {
                actor.UseOwnEndpoint(_ports.Open(environment.EventLoop, datagram.Local, options.SessionBufferBytes, actor));
            }
            catch (EndpointException e)
            {
                key = ServeFromHeraldPort(datagram, e.Message);
                entry = null;
                actor.Dispose();
                actor = null;
            }
        }

        actor ??= NewSession(key, datagram, heraldSeqno, _socket);
        Register(key, actor, ref entry).Add(actor.Route);
        return actor.Route;
    }

    private ClientEntry Register(FlowKey key, SessionActor session, ref ClientEntry? entry)
    {
        if (session.Route.Phase == SessionPhase.HalfOpen)
            BeginHalfOpen(key, session.Route);

        if (key.RemotePort == 0)
            group.AddOwnEndpoint();
        session.Route.Ref = Context.Spawn<SessionActor.Message>($"session-{key.Remote}", environment.Loop, () => session, new()
        {
            MailboxCapacity = 64,
            Strategy = SupervisorStrategy.Stop,
            OnStopped = _ => Self.Deliver(new SessionStopped(key, session.Route)),
        });
        return entry ??= CollectionsMarshal.GetValueRefOrAddDefault(_clients, key, out _) ??= new(key);
    }

    private void OnResume(InterruptedDump dump, bool isAbandoned)
    {
        if (dump.Committed is { } committed)
        {
            // Of a node that died in the middle of it; nobody else sees to the rest.
            CommitAftermath.Follow(environment, committed, committed.Manifest.Host, dump.File.Identity.Client, trace: default);
            environment.FileSystems.LaneOf(dump.File).Upkeep.Tell(new FileSystemActor.RemoveLedger(dump.File));
            return;
        }

        if (dump.Saved is null && IsEndedHere(dump.File))
        {
            environment.FileSystems.LaneOf(dump.File).Upkeep.Tell(new FileSystemActor.CloseDump(dump.File));
            return;
        }

        var session = dump.Saved is not { } saved
            ? DumpSession.RestoreLingering(environment.Options, dump.IsWhole, Context.NowUs)
            // A kernel does not wait for a machine to be started again.
            : DumpSession.Restore(dump.MachineCrashed ? environment.Options with { ClientTimeoutUs = environment.Options.RetryBudgetUs } : environment.Options, saved, Context.NowUs);
        var (actor, entry, isReachable) = ResumeSession(dump.File.Identity.Client, dump.File.Endpoint, session, dump.File.Identity.StartedAt);
        actor.UseFile(dump.File, environment.FileSystems.LaneOf(dump.File));
        actor.Route.HasData = true;
        if (session.Phase == SessionPhase.Lingering)
        {
            actor.Route.HasEnded = true;
            actor.Route.HasSettled = true;
            group.AddLingering();
        }
        else
        {
            _unsettled++;
            group.AddDump();
            environment.Metrics.DumpStarted();
            if (isReachable)
            {
                environment.Metrics.SessionResumed();
                if (dump.File.Epoch > 1)
                    environment.Metrics.SessionTakenOver();
                CollectorLog.Resumed(environment.Logger, dump.File.Identity.Client, dump.File.PartialPath, session.CoveredBytes);
            }
        }

        actor.Route.Ref.Tell(new SessionActor.Continue());
        if (isAbandoned)
            actor.Route.Ref.Tell(new SessionActor.EndDump(EndReason.ClientTimedOut));
        // What superseded the older one before must do so again: that process may not have come to end it.
        bool isDecided = session.Phase == SessionPhase.Receiving && (entry.Key.RemotePort == 0 || actor.HasWonBefore);
        var loser = !entry.Resume(actor.Route) ? actor.Route : isDecided ? entry.Supersede(actor.Route) : null;
        if (loser is not { HasEnded: false })
            return;
        CollectorLog.Superseded(environment.Logger, dump.File.Identity.Client);
        loser.Ref.Tell(new SessionActor.EndDump(EndReason.Superseded));
    }

    /// <summary>A session of this loop has ended the dump itself, and answers for it.</summary>
    private bool IsEndedHere(DumpFile file) =>
        _clients.GetValueOrDefault(new(file.Endpoint.Local, file.Identity.Client, file.Endpoint.RemotePort))?.Sessions.Any(session => session.HasEnded && session.StartedAt == file.Identity.StartedAt) ?? false;

    private void OnResumeHerald(RememberedHerald remembered)
    {
        var herald = remembered.Herald;
        // It was sought, and came or was repeated while that took too long for a dying host: its session is here.
        if (remembered.Place == RememberedHerald.Elsewhere
            && _clients.GetValueOrDefault(new(herald.Endpoint.Local, herald.Client, herald.Endpoint.RemotePort))?.Sessions.Any(session => session.StartedAt == herald.At || (session.StartedAt > herald.At && !session.HasEnded)) == true)
            return;
        if (environment.Time.GetUtcNow() - herald.At > TimeSpan.FromMicroseconds(environment.Options.HalfOpenTimeoutUs))
        {
            if (remembered.Place != RememberedHerald.Elsewhere)
                environment.Heralds?.Tell(new HeraldActor.Drop(remembered.Place));
            return;
        }

        var session = DumpSession.RestoreHalfOpen(environment.Options, herald.Endpoint.HeraldSeqno, herald.Path, Context.NowUs);
        var (actor, entry, _) = ResumeSession(herald.Client, herald.Endpoint, session, herald.At);
        entry.Add(actor.Route);
        if (remembered.Place != RememberedHerald.Elsewhere)
            actor.UseHerald(remembered.Place);
        actor.Route.Ref.Tell(new SessionActor.Continue());
    }

    /// <summary>A session where the client was told to send to; it is not reachable where that can no longer be had, and that has been logged.</summary>
    private (SessionActor Session, ClientEntry Entry, bool IsReachable) ResumeSession(Ipv4 client, DumpEndpoint endpoint, DumpSession session, DateTimeOffset at)
    {
        var key = endpoint.RemotePort == 0 ? FlowKey.OfHost(client) : new(endpoint.Local, client, endpoint.RemotePort);
        _answersFromHeraldPort |= endpoint.RemotePort != 0;
        var actor = NewActor(endpoint.RemotePort == 0 ? null : _socket);
        bool isReachable = true;
        if (endpoint.RemotePort == 0)
        {
            try
            {
                actor.UseOwnEndpoint(environment.EventLoop.Open(new() { Address = endpoint.Local, Port = endpoint.LocalPort, ReceiveBufferBytes = options.SessionBufferBytes }, actor));
                _ports.Skip(endpoint.LocalPort);
            }
            catch (EndpointException e)
            {
                // Nothing of the dump will come any more; it ends by its time-out, as what it is.
                isReachable = false;
                CollectorLog.NotResumed(environment.Logger, client, e.Message);
                actor.Dispose();
                actor = NewActor(_socket);
                key = new(endpoint.Local, client, endpoint.AckPort);
            }
        }
        else if (endpoint.LocalPort != _socket!.Port)
        {
            isReachable = false;
            CollectorLog.NotResumed(environment.Logger, client, $"it was served from port {endpoint.LocalPort}");
        }

        var entry = _clients.GetValueOrDefault(key);
        return (actor, Register(key, actor, ref entry), isReachable);

        SessionActor NewActor(IUdpEndpoint? served) => new(environment, new(endpoint.Local, client, key.RemotePort, endpoint.AckPort), served, session, at,
            () => RefusalOfDump(key), (route, milestone) => Self.Deliver(new Reached(key, route, milestone)));
    }

    /// <summary>No port or no descriptor left: a dying host is served from the herald port rather than not at all.</summary>
    private FlowKey ServeFromHeraldPort(in Datagram datagram, string reason)
    {
        _answersFromHeraldPort = true;
        if (Context.NowUs >= _nextFallbackLineUs)
            CollectorLog.ServedFromHeraldPort(environment.Logger, datagram.Remote, reason);
        _nextFallbackLineUs = Math.Max(_nextFallbackLineUs, Context.NowUs + RejectLog.IntervalUs);
        return new(datagram.Local, datagram.Remote, datagram.RemotePort);
    }

    /// <summary>A kernel sends its first packet within milliseconds, so the oldest herald without one is the least likely to be a kernel's.</summary>
    private void EvictOldestHalfOpen(in Datagram datagram)
    {
        if (_halfOpen.TakeOldest() is not { } oldest)
            return;
        Reject(RejectReason.TooManyHalfOpen, datagram);
        oldest.Ref.Deliver(new SessionActor.Discard());
    }

    /// <summary>Where there is no room left, the dump goes whose kernel has been silent for longest, if for longer than a kernel tolerates: it will not come back, and the new one has one chance.</summary>
    /// <returns>There is room now.</returns>
    private bool TryEndLongestSilent()
    {
        if (Context.NowUs < _nextSilentSearchUs)
            return false;
        _nextSilentSearchUs = Context.NowUs + SilentSearchIntervalUs;
        SessionRoute? silent = null;
        foreach (var entry in _clients.Values)
        {
            foreach (var session in (ReadOnlySpan<SessionRoute?>)[entry.Newest, entry.Older])
            {
                if (IsRunning(session) && session!.LastPacketUs < (silent?.LastPacketUs ?? long.MaxValue))
                    silent = session;
            }
        }

        if (silent is null || Context.NowUs - silent.LastPacketUs < environment.Options.RetryBudgetUs)
            return false;
        silent.Ref.Deliver(new SessionActor.EndDump(EndReason.ClientTimedOut));
        return group.HasRoom(options);
    }

    private SessionActor NewSession(FlowKey key, in Datagram datagram, uint heraldSeqno, IUdpEndpoint? endpoint)
    {
        // Behind NAT the client's port is rewritten, and the way back is the port a packet came from.
        ushort ackPort = endpoint is null ? options.ClientPort : datagram.RemotePort;
        return new(environment, new(datagram.Local, datagram.Remote, key.RemotePort, ackPort), endpoint, heraldSeqno,
            () => RefusalOfDump(key), (route, milestone) => Self.Deliver(new Reached(key, route, milestone)));
    }

    /// <summary>Data followed a herald; asked by the session, before it makes files. Heralds that came together were all answered before there was any dump to count.</summary>
    /// <returns>Why the dump must not begin now, or null: then it is counted.</returns>
    private RejectReason? RefusalOfDump(FlowKey key)
    {
        if (IsRunning(_clients.GetValueOrDefault(key)?.Older))
        {
            group.AddDump();
        }
        else if (!group.TryAddDump(options))
        {
            if (Context.NowUs >= _nextSilentSearchUs)
                Self.Tell(new MakeRoom());
            return RejectReason.TooManySessions;
        }

        if (group.Admission.TryBeginDump(key.Remote, Context.NowUs) is not { } refusal)
            return null;
        group.RemoveRunningDump();
        group.RemoveOpenDump();
        return refusal;
    }

    private static bool IsRunning(SessionRoute? session) => session is { HasData: true, HasEnded: false };

    private ClientEntry? Find(in Datagram datagram)
    {
        if (_answersFromHeraldPort && _clients.TryGetValue(new(datagram.Local, datagram.Remote, datagram.RemotePort), out var flow))
            return flow;
        return _clients.GetValueOrDefault(FlowKey.OfHost(datagram.Remote));
    }

    private void OnReached(Reached reached)
    {
        switch (reached.Milestone)
        {
            case SessionMilestone.Data:
                _unsettled++;
                EndHalfOpen(reached.Key);
                break;
            case SessionMilestone.Advanced when _clients.GetValueOrDefault(reached.Key) is { Newest: { } newest } entry && entry.Older == reached.Session:
                newest.Ref.Deliver(new SessionActor.Discard());
                break;
            case SessionMilestone.MetForeign when _clients.GetValueOrDefault(reached.Key) is { Newest: { } newest } entry && entry.Older == reached.Session:
                newest.IsProven = true;
                newest.IsShadow = false;
                break;
            case SessionMilestone.Ended:
                _committing++;
                group.RemoveRunningDump();
                break;
            case SessionMilestone.Settled:
                _committing--;
                OnSettled();
                if (reached.Session is { HasSettled: true, HasStopped: false } && group.AddLingering() > options.MaxLingeringLedgers)
                    reached.Session.Ref.Tell(new SessionActor.LetGoOfLedger());
                break;
        }

        // Data on a port that only this herald's answer named decides; on the shared port a whole burst does.
        var decisive = reached.Key.RemotePort == 0 ? SessionMilestone.Data : SessionMilestone.FirstBurst;
        if (reached.Milestone != decisive || _clients.GetValueOrDefault(reached.Key)?.Supersede(reached.Session) is not { } loser)
            return;

        CollectorLog.Superseded(environment.Logger, reached.Key.Remote);
        loser.Ref.Deliver(new SessionActor.EndDump(EndReason.Superseded));
    }

    private void BeginHalfOpen(FlowKey key, SessionRoute session)
    {
        _halfOpen.Add(session);
        if (key.RemotePort == 0)
            group.Admission.AddHalfOpenEndpoint();
    }

    private void EndHalfOpen(FlowKey key)
    {
        _halfOpen.Remove();
        if (key.RemotePort == 0)
            group.Admission.RemoveHalfOpenEndpoint();
    }

    private void OnSettled()
    {
        _unsettled--;
        group.RemoveOpenDump();
        AnswerWaiting();
    }

    private void AnswerWaiting()
    {
        if (_unsettled == 0)
            _drained?.Send(true);
        if (_committing == 0)
            _committed?.Send(true);
    }

    private void OnSessionStopped(SessionStopped stopped)
    {
        stopped.Session.HasStopped = true;
        if (!stopped.Session.HasData)
            EndHalfOpen(stopped.Key);
        if (stopped.Key.RemotePort == 0)
            group.RemoveOwnEndpoint();
        if (IsRunning(stopped.Session))
            group.RemoveRunningDump();
        if (stopped.Session is { HasSettled: true })
            group.RemoveLingering();
        if (stopped.Session is { HasEnded: true, HasSettled: false, SettlesWithoutSession: false })
            _committing--;
        if (stopped.Session is { HasData: true, HasSettled: false, SettlesWithoutSession: false })
            OnSettled();
        if (!_clients.TryGetValue(stopped.Key, out var entry))
            return;
        entry.Remove(stopped.Session);
        if (entry.IsEmpty)
            _clients.Remove(stopped.Key);
    }

    /// <summary>Came to the herald port and is no session's: of a source that is not served nothing else matters.</summary>
    private void RejectStray(RejectReason reason, in Datagram datagram) =>
        Reject(group.Admission.Allows(datagram.Remote) ? reason : RejectReason.NotAllowed, datagram);

    private void Reject(RejectReason reason, in Datagram datagram) =>
        environment.Rejects.Add(reason, datagram.Remote, Context.NowUs);
}
