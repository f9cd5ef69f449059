using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>One dump: owns the client's endpoint and the assembly of its bytes, and ends with it.</summary>
/// <remarks>
/// Runs on the loop that polls its socket. Bursts are written to the page cache inline, or by a <see cref="WriterActor"/> while the file system is slow; whatever
/// waits for a device (open, write-back, commit) is done by storage actors. While the file is not open or a batch is being stored elsewhere, packets wait in a bounded
/// staging area. A session that throws ends its dump as incomplete and touches no other.
/// </remarks>
public sealed partial class SessionActor : Actor<SessionActor.Message>, IDatagramReceiver, IDisposable
{
    public abstract record Message;

    /// <summary>The dump's files are open; <paramref name="Headroom"/> says how much of it there is room for.</summary>
    public sealed record Opened(DumpFile File, FileSystemLane Lane, HeadroomVerdict Headroom) : Message, IOwningMessage
    {
        /// <summary>A session that has gone meanwhile acked nothing: the empty files say nothing either.</summary>
        public void OnDeadLetter() => Lane.Upkeep.Tell(new FileSystemActor.DiscardDump(File));
    }

    /// <summary>The herald was another node's as well, which has begun the dump: the client's next packet finds it.</summary>
    internal sealed record BegunElsewhere : Message;

    /// <summary>The dump's files could not be opened; the client's next packet tries again.</summary>
    public sealed record OpenFailed(string Error) : Message;

    /// <summary>Another thread carried out the batch that the session gave it.</summary>
    internal sealed record BatchStored : Message;

    /// <summary>The client's name is known, or is not going to be.</summary>
    public sealed record HostResolved(string Host) : Message;

    /// <summary>The ended dump is durable under its final name.</summary>
    public sealed record Committed(DumpFile File, FileSystemLane Lane) : Message, IOwningMessage
    {
        /// <summary>A server that is stopping: the next start answers a repeated FINISHED.</summary>
        public void OnDeadLetter() => Lane.Upkeep.Tell(new FileSystemActor.CloseDump(File));
    }

    /// <summary>The ended dump is sure to become what its summary says, on whichever node: FINISHED may be acked, and the files are still at work.</summary>
    internal sealed record Promised : Message;

    /// <summary>Another node has the ended dump, and answers for it.</summary>
    internal sealed record TakenOver : Message;

    /// <summary>What was stored when the checkpoint was ordered is on the device, or never will be.</summary>
    internal sealed record CheckpointDone : Message;

    /// <summary>How long the dump will be, or what must be stored before that can be told; both null when it never can.</summary>
    internal sealed record DumpSized(ulong? Bytes, ulong? WhenHeldBytes) : Message;

    /// <summary>The ended dump could not be made durable.</summary>
    public sealed record CommitFailed : Message;

    /// <summary>The dump is to end as it is.</summary>
    public sealed record EndDump(EndReason Reason) : Message;

    /// <summary>The session was opened by a late duplicate of a herald: it goes without a trace.</summary>
    public sealed record Discard : Message;

    /// <summary>The next process would find the herald.</summary>
    internal sealed record HeraldNoted : Message;

    /// <summary>The session was another process's; it arms its timer.</summary>
    internal sealed record Continue : Message;

    /// <summary>The descriptor of the ended dump's ledger is wanted for others: only this process answers a repeated FINISHED from now on.</summary>
    internal sealed record LetGoOfLedger : Message;

    private sealed record TimerDue : Message;

    /// <summary>Bytes stored between two requests for write-back.</summary>
    private const ulong WritebackBytes = 16 << 20;

    /// <summary>Bytes, and time, between two checkpoints. Source: design.md, "Restart and takeover".</summary>
    private const ulong CheckpointBytes = 256 << 20;
    private const long CheckpointUs = 5_000_000;

    /// <summary>So long a herald's answer waits until it is written down; a device that takes longer must not lose a dump.</summary>
    private const long NotePatienceUs = 200_000;

    private const long DropsIntervalUs = 1_000_000;

    private readonly SessionEnvironment _environment;
    private readonly ClientAddress _client;
    private readonly bool _ownsEndpoint;
    private readonly Func<RejectReason?> _refusalOfDump;
    private readonly Action<SessionRoute, SessionMilestone> _onMilestone;
    private readonly DumpSession _session;
    private readonly BurstStore _store;
    private readonly SessionMeter _meter;
    private readonly DateTimeOffset _startedAt;
    private readonly long _startedUs;
    private readonly PacketRun _run = new();
    private DumpContinuation? _continues;
    private IUdpEndpoint _endpoint;
    private IActorTimer _timer = null!;
    private long _timerDueUs = long.MaxValue;
    private ActorRef<StorageActor.Message>? _storage;
    private Task<string>? _hostLookup;
    private string? _host;
    private long _hostDueUs = long.MaxValue;
    private DumpFile? _file;
    private string? _path;
    private DumpFile? _committed;
    private ActorRef<CheckpointActor.TakeCheckpoint>? _checkpoints;
    private bool _isCheckpointing;
    private ulong _checkpointFrom;
    private long _checkpointUs;
    private long _dropsDueUs;
    private ulong? _sizeWhenHeldBytes = MinidumpExtent.HeaderBytes;
    private ulong? _sizedBytes;
    private bool _saveErrorLogged;
    private bool _heraldSaved;
    private (int PathBytes, uint Seqno)? _noted;
    private bool _awaitsNote;
    private long _noteDueUs;
    private FileSystemLane? _lane;
    private ActorRef<WriterActor.StoreBurst>? _writer;
    private Staging? _staging;
    private Staging? _stored;
    private bool _opening;
    private bool _isStoring;
    private bool _hasRival;
    private bool _isContested;
    private EndReason? _endAfterStore;
    private bool _started;
    private bool _wonBurst;
    private bool _hasPromised;
    private bool _hasPromisedEnd;
    private bool _announced;
    private bool _kdhLogged;
    private bool _damageLogged;
    private bool _discarded;
    private bool _handedOver;
    private string? _loggedWriteError;
    private ulong _writebackFrom;

    /// <param name="environment">What the loop's sessions share.</param>
    /// <param name="client">Both ends.</param>
    /// <param name="endpoint">The shared socket, or null when <see cref="UseOwnEndpoint"/> follows.</param>
    /// <param name="heraldSeqno">Seqno of the herald.</param>
    /// <param name="refusalOfDump">Asked when data comes, before there are files: why the dump must not begin now, or null.</param>
    /// <param name="onMilestone">Told of each milestone once.</param>
    public SessionActor(SessionEnvironment environment, ClientAddress client, IUdpEndpoint? endpoint, uint heraldSeqno,
        Func<RejectReason?> refusalOfDump, Action<SessionRoute, SessionMilestone> onMilestone)
        : this(environment, client, endpoint, new(environment.Options, heraldSeqno, environment.Loop.NowUs), environment.Time.GetUtcNow(), refusalOfDump, onMilestone)
    {
    }

    /// <summary>Continues a session of another process.</summary>
    /// <param name="environment">What the loop's sessions share.</param>
    /// <param name="client">Both ends.</param>
    /// <param name="endpoint">The shared socket, or null when <see cref="UseOwnEndpoint"/> follows.</param>
    /// <param name="session">What the other process was at.</param>
    /// <param name="startedAt">When the herald came.</param>
    /// <param name="refusalOfDump">Asked when data comes, before there are files: why the dump must not begin now, or null.</param>
    /// <param name="onMilestone">Told of each milestone once.</param>
    internal SessionActor(SessionEnvironment environment, ClientAddress client, IUdpEndpoint? endpoint, DumpSession session, DateTimeOffset startedAt,
        Func<RejectReason?> refusalOfDump, Action<SessionRoute, SessionMilestone> onMilestone)
    {
        _environment = environment;
        _refusalOfDump = refusalOfDump;
        _client = client;
        _endpoint = endpoint!;
        _ownsEndpoint = endpoint is null;
        _onMilestone = onMilestone;
        // What an earlier process took is part of the dump's duration; wall clocks may jump.
        _startedUs = environment.Loop.NowUs - Math.Max(0, (long)(environment.Time.GetUtcNow() - startedAt).TotalMicroseconds);
        _startedAt = startedAt;
        _checkpointUs = environment.Loop.NowUs;
        _session = session;
        _store = new(_session, environment.Storm);
        _meter = new(environment.Metrics, _session, environment.Time);
        Route = new() { StartedAt = startedAt, OpenedUs = _startedUs, Describe = Describe };
        Route.Publish(_session);
    }

    /// <summary>What the ingress finds packets' way by.</summary>
    public SessionRoute Route { get; }

    /// <summary>The earlier process that had the session came to <see cref="SessionMilestone.FirstBurst"/>.</summary>
    internal bool HasWonBefore => _session.SupersedesOlder && _session.CoveredBytes > 0;

    private string ClientName => $"{_host ?? _client.Remote.ToString()} [{_client.Remote}]";

    /// <summary>Gives the session a socket of its own, whose datagrams it receives itself and which it closes.</summary>
    public void UseOwnEndpoint(IUdpEndpoint endpoint) => _endpoint = endpoint;

    private string EndpointMode => _ownsEndpoint ? "ephemeral" : "shared";

    private DumpEndpoint Endpoint => new(_client.Local, _endpoint.Port, _ownsEndpoint ? (ushort)0 : _client.RemotePort, _client.AckPort, _session.HeraldSeqno);

    /// <summary>The dump goes on with one of another node's, of which nothing is here.</summary>
    internal void Continues(DumpContinuation continues) => _continues = continues;

    /// <summary>The session's herald has its place in the ledger.</summary>
    internal void UseHerald(int place)
    {
        _heraldSaved = true;
        _noted = (_session.HeraldPath.Length, _session.HeraldSeqno);
        _environment.Heralds?.Tell(new HeraldActor.Adopt(Route, place));
    }

    private SessionStatus Describe() => new()
    {
        Client = _client.Remote,
        Host = _host,
        Phase = _session.Phase,
        StartedAt = _startedAt,
        Silence = TimeSpan.FromMicroseconds(Math.Max(0, _environment.Loop.NowUs - _session.LastPacketUs)),
        CoveredBytes = _session.CoveredBytes,
        DumpBytes = DumpBytes,
        ExpectedBytes = ExpectedBytes,
        DumpId = _file?.Identity.Id.ToString(),
        File = _file?.PartialPath,
        Port = _endpoint.Port,
        Local = _client.Local,
        ClientPort = _client.RemotePort,
        Endpoint = EndpointMode,
        Epoch = _file is null ? 0 : Math.Max(_file.Epoch, DumpContinuation.EpochOf(_file.Identity.Continues)),
        Continues = _file?.Identity.Continues?.Id,
        Packets = _session.Counters.Packets,
        Repeated = _session.Counters.Retransmissions,
        WriteError = _loggedWriteError,
    };

    private ulong? DumpBytes => _session.Header is { IsValid: true } header ? header.DumpLength : null;

    private ulong? ExpectedBytes => DumpBytes ?? (_session.CoveredBytes <= _sizedBytes ? _sizedBytes : null);

    /// <summary>Gives a continued session the files of its dump, or of the dump that it still answers for.</summary>
    internal void UseFile(DumpFile file, FileSystemLane lane)
    {
        _lane = lane;
        _started = true;
        _announced = true;
        _kdhLogged = _session.Header is not null;
        _writebackFrom = _session.CoveredBytes;
        _isResumed = true;
        _dataUs = _environment.Loop.NowUs;
        _hasPromised = true;
        _wonBurst = HasWonBefore;
        if (_session.Phase == SessionPhase.Lingering)
        {
            _handedOver = true;
            _committed = file;
        }
        else
        {
            _file = file;
            _path = file.PartialPath;
            _store.DecideKeep(headersOnly: false, _environment.Loop.NowUs);
        }
    }

    void IDatagramReceiver.OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
    {
        if (!_run.DeliverTo(Route.Ref, datagrams) && !_environment.Loop.HasMovedOn)
            _environment.Rejects.Add(Route.RefusalReason, datagrams[0].Remote, _environment.Loop.NowUs);
    }

    public void Dispose()
    {
        GiveBack(ref _staging);
        GiveBack(ref _stored);
        _store.Dispose();
    }

    protected override void PreStart() => _timer = Context.CreateTimer(new TimerDue());

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case PacketRun run:
                OnPackets(run);
                break;
            case TimerDue:
                _timerDueUs = long.MaxValue;
                if (Context.NowUs >= _hostDueUs)
                    Name(_client.Remote.ToString());
                // A file system that takes long to open a file says nothing about the client.
                if (!_isStoring && !_opening)
                    OnTick();
                break;
            case HeraldNoted:
                _awaitsNote = false;
                break;
            case CheckpointDone:
                _isCheckpointing = false;
                break;
            case DumpSized sized:
                _sizedBytes = sized.Bytes;
                _sizeWhenHeldBytes = sized.WhenHeldBytes;
                SizeDump();
                break;
            case Continue when _file is not null:
                LookUpHost();
                SizeDump();
                break;
            case BatchStored:
                if (!TrySettleStored())
                    return;
                break;
            case Opened opened:
                OnOpened(opened.File, opened.Lane, opened.Headroom);
                break;
            case BegunElsewhere:
                ForgetHerald();
                LeaveToNextOwner();
                return;
            case OpenFailed failed:
                OnOpenFailed(failed.Error);
                break;
            case HostResolved resolved:
                Name(resolved.Host);
                break;
            case Promised:
                _hasPromisedEnd = true;
                _session.OnCommitted(Context.NowUs);
                break;
            case Committed committed:
                _committed = committed.File;
                if (!_hasPromisedEnd)
                    _session.OnCommitted(Context.NowUs);
                Reach(SessionMilestone.Settled);
                break;
            case TakenOver:
                Reach(SessionMilestone.Settled);
                LeaveToNextOwner();
                return;
            case CommitFailed:
                _store.GiveSlotBack();
                _session.OnCommitFailed(Context.NowUs);
                Reach(SessionMilestone.Settled);
                break;
            case LetGoOfLedger when _committed is { } file:
                _committed = null;
                _lane!.Upkeep.Tell(new FileSystemActor.RemoveLedger(file));
                break;
            case EndDump end when _isStoring:
                _endAfterStore = end.Reason;
                break;
            case EndDump end:
                _session.End(end.Reason);
                break;
            // A session that has promised bytes keeps them, whatever its ingress learned since; one whose dump ended has it no more.
            case Discard when !_hasPromised && !_handedOver:
                _discarded = true;
                Context.Stop();
                return;
        }

        // Where a batch is being stored elsewhere, nothing changes before it comes back; and if that is because the loop has left this thread, nothing of the loop's may be touched.
        if (!_isStoring && !_environment.Loop.HasMovedOn)
            AfterChange();
    }

    protected override void PostStop(Exception? failure)
    {
        _timer?.Arm(long.MaxValue);
        if (_ownsEndpoint && _endpoint is not null)
        {
            _meter.OnDropped(_endpoint.Drops);
            _endpoint.Dispose();
        }

        if (_session.Phase == SessionPhase.Closed || _discarded)
            ForgetHerald();
        LetGoOfFiles(failure);
        _trace?.Interrupt();
        if (!_handedOver)
            _store.GiveSlotBack();
        Dispose();
    }

    /// <summary>Decides what becomes of the dump's files. Others do it: what removes or closes a file may wait for a device.</summary>
    private void LetGoOfFiles(Exception? failure)
    {
        bool isOver = _discarded || _session.Phase == SessionPhase.Closed;
        if (_started && !_handedOver && isOver)
            EndWithoutDump();
        else if (_started && !_handedOver && failure is not null)
            EndUnfinished(failure);

        // Where the server is stopping, whoever starts next continues from what lies there: the dump, or the answers to a repeated FINISHED.
        if (_file is not null)
            _lane!.Upkeep.Tell(new FileSystemActor.CloseDump(_file));
        if (_committed is not null)
            _lane!.Upkeep.Tell(isOver || failure is not null ? new FileSystemActor.RemoveLedger(_committed) : new FileSystemActor.CloseDump(_committed));
        _file = _committed = null;
    }

    private void OnTick()
    {
        _session.OnTick(Context.NowUs);
        _meter.OnTick();
        CountDrops();
        if (_file is not null && _session.MustSave)
            SaveState();
        // A state that is being saved is another thread's; a checkpoint that is due follows when it is done.
        if (!_isStoring && Context.NowUs >= CheckpointDueUs)
            TakeCheckpoint();
    }

    /// <summary>Asks, at most once a second, what the kernel dropped at the session's own socket.</summary>
    private void CountDrops()
    {
        if (!_ownsEndpoint || Context.NowUs < _dropsDueUs)
            return;

        _dropsDueUs = Context.NowUs + DropsIntervalUs;
        _meter.OnDropped(_endpoint.Drops);
    }

    /// <summary>Sends what may be sent and follows the session's phase.</summary>
    private void AfterChange()
    {
        SendAcks();
        Route.Publish(_session);
        if (_session.Phase == SessionPhase.Ending && _file is not null)
        {
            Commit(_session.Summary!);
            Reach(SessionMilestone.Ended);
        }

        if (_session.Phase == SessionPhase.Closed)
        {
            Context.Stop();
            return;
        }

        // A timer that is due earlier than needed costs one idle call, re-arming at every burst would cost more.
        long wakeUs = Math.Min(Math.Min(_opening ? long.MaxValue : _session.WakeUs, _hostDueUs), Math.Min(_awaitsNote ? _noteDueUs : long.MaxValue, CheckpointDueUs));
        if (wakeUs >= _timerDueUs)
            return;
        _timerDueUs = wakeUs;
        _timer.Arm(wakeUs);
    }

    private void SendAcks()
    {
        var acks = _session.Acks;
        if (acks.IsEmpty)
            return;

        if (_session.Phase == SessionPhase.HalfOpen && !IsHeraldNoted())
            return;
        _endpoint.SendAcks(_client.Local, _client.Remote, _client.AckPort, acks);
        _meter.OnAcksSent(acks.Length, _trace?.Root);
        _session.ClearAcks();
        if (_wonBurst || Route.IsShadow || _session.CoveredBytes == 0)
            return;
        _wonBurst = _hasPromised = true;
        _trace?.Confirm();
        _environment.Metrics.Events.Publish(new DumpStarted(_environment.Time.GetUtcNow(), _file?.Identity.Id.ToString() ?? "", _client.Remote, _host ?? _client.Remote.ToString()));
        Reach(SessionMilestone.FirstBurst);
    }

    /// <summary>What is answered must be found again by the next process: a kernel sends on to this very port.</summary>
    private bool IsHeraldNoted()
    {
        if (_environment.Heralds is not { } heralds)
            return true;

        // A long path comes in several packets.
        var herald = (_session.HeraldPath.Length, _session.HeraldSeqno);
        if (_noted != herald)
        {
            _noted = herald;
            _heraldSaved = true;
            _awaitsNote = heralds.Tell(new HeraldActor.Remember(Route, new(_client.Remote, Endpoint, _startedAt, _session.HeraldPath.ToArray())));
            _noteDueUs = Context.NowUs + NotePatienceUs;
        }

        _awaitsNote &= Context.NowUs < _noteDueUs;
        return !_awaitsNote;
    }

    private void ForgetHerald()
    {
        if (_heraldSaved)
            _environment.Heralds?.Tell(new HeraldActor.Forget(Route));
        _heraldSaved = false;
    }

    private void Reach(SessionMilestone milestone)
    {
        Route.HasData |= milestone == SessionMilestone.Data;
        Route.HasEnded |= milestone == SessionMilestone.Ended;
        Route.HasSettled |= milestone == SessionMilestone.Settled;
        _onMilestone(Route, milestone);
    }

    /// <summary>The client's name is known, or has taken too long; the first one stays.</summary>
    private void Name(string host)
    {
        _hostDueUs = long.MaxValue;
        _host ??= host;
        Announce();
    }

    /// <summary>Tells of the dump when both its file and its host's name are known.</summary>
    private void Announce()
    {
        if (_announced || _host is null || _file is null)
            return;
        _announced = true;
        using var scope = InTrace();
        CollectorLog.NewDump(_environment.Logger, ClientName, _file.PartialPath);
    }

    /// <param name="summary">What the dump came to.</param>
    /// <param name="settled">See <see cref="CommitActor.CommitDump.Settled"/>.</param>
    private void Commit(DumpSummary summary, Action? settled = null)
    {
        // The files' names have the host's in them, so a dump that is shorter than the lookup waits, for what is left of its time then.
        long hostDueUs = _hostDueUs == long.MaxValue ? 0 : _hostDueUs;
        Name(_client.Remote.ToString());
        var file = _file!;
        var circumstances = new DumpCircumstances
        {
            Host = _client.Remote.ToString(),
            Endpoint = EndpointMode,
            LocalAddress = _client.Local,
            LocalPort = _endpoint.Port,
            EndedAt = _environment.Time.GetUtcNow(),
            Duration = TimeSpan.FromMicroseconds(Context.NowUs - _startedUs),
            Hash = _environment.Hashes is null ? HashState.Off : HashState.Pending,
            HasScript = _environment.Scripts is not null,
        };
        var order = new CommitActor.CommitDump(file, summary, circumstances, _hostLookup!, hostDueUs) { Settled = settled, Trace = EndTransfer(summary) };
        var self = Route.Ref;
        // Not a child: the dump must become durable also when its session is gone.
        var commit = _environment.System.Spawn<CommitActor.Message>($"commit-{file.Identity.Id}", _lane!.Syncers,
            () => new CommitActor(_environment, self),
            new() { MailboxCapacity = 4 });
        commit.Tell(order);
        // Only now: where no actor can be started, the session's end tries once more.
        _file = null;
        _handedOver = true;
        if (summary.Status is DumpStatus.Incomplete or DumpStatus.Damaged)
            _store.GiveSlotBack();
        _environment.Metrics.DumpArrived();
    }

    /// <summary>Nothing of a dump was acked: strays of a live one, or packets that no kernel sends, made the session ask for files, or none were to be had.</summary>
    private void EndWithoutDump()
    {
        if (_file is null && !_discarded)
        {
            CollectorLog.Lost(_environment.Logger, ClientName, _loggedWriteError ?? "they could not be opened in time");
            _environment.Metrics.DumpLost();
            return;
        }

        if (_file is not null)
            _lane!.Upkeep.Tell(new FileSystemActor.DiscardDump(_file));
        _file = null;
        _environment.Metrics.DumpDiscarded();
    }

    /// <summary>Stopped in mid-dump by a failure of its own: what arrived is kept and reported as it is.</summary>
    private void EndUnfinished(Exception failure)
    {
        DumpSummary summary;
        try
        {
            _session.End(EndReason.InternalError, failure.Message);
            summary = _session.Summary ?? DumpSummary.Unknown(EndReason.InternalError, failure.Message);
        }
        catch (Exception e)
        {
            // The session's own state is what failed: nothing is known but that the file is there.
            summary = DumpSummary.Unknown(EndReason.InternalError, $"{failure.Message}; {e.Message}");
        }

        if (_file is null)
        {
            _environment.Metrics.DumpLost();
            return;
        }

        Commit(summary, () => _onMilestone(Route, SessionMilestone.Settled));
        Route.SettlesWithoutSession = true;
        Reach(SessionMilestone.Ended);
    }
}
