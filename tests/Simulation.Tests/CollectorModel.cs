using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>
/// Our server's shell in the model, for one client: sockets, batches, files, checkpoints and commits around <see cref="DumpSession"/>, one endpoint per session; and what a new process makes of
/// what an earlier one left.
/// </summary>
/// <remarks>The order of steps follows BurstStore, SessionActor, CheckpointActor, DumpDirectory.Commit and DumpDirectory.Recovery; between any two of them the process may die.</remarks>
internal sealed class CollectorModel(IServerWorld world) : IServerModel
{
    private const ushort FirstEndpointPort = 20100;
    private const int MaxCommitAttempts = 12;
    private const long CommitRetryUs = 1_000_000;

    /// <summary>How late the ledger of heralds may be.</summary>
    private const int MaxHeraldLagUs = 600;

    private readonly List<Slot> _slots = [];

    // What lies in the directory, and outlives the process.
    private readonly List<ModelLedger> _ledgers = [];
    private readonly List<HeraldPlace> _heralds = [];

    /// <summary>Changes to the ledger of heralds that another thread has not made yet.</summary>
    private readonly Queue<(long DueUs, HeraldPlace Place, bool Forget)> _heraldWork = [];

    private ushort _nextPort = FirstEndpointPort;

    /// <summary>A herald that was answered.</summary>
    private sealed record HeraldPlace(ushort Port, uint Seqno, byte[] Path, long AtUs);

    /// <summary>A session, its endpoint and its files.</summary>
    private sealed class Slot(DumpSession session, ushort port)
    {
        public readonly DumpSession Session = session;
        public readonly ushort Port = port;
        public readonly Queue<(byte[] Datagram, int Length)> Inbox = [];
        public readonly List<(byte[] Datagram, int Length)> Batch = [];
        public ModelLedger? Ledger;
        public HeraldPlace? Herald;
        public long PollUs = long.MaxValue;
        public long StoreDoneUs = long.MaxValue;
        public long CommitUs = long.MaxValue;
        public int CommitAttempts;
        public long CheckpointDoneUs = long.MaxValue;
        public long CheckpointUs;
        public byte[]? CheckpointState;
        public ByteRange[] CheckpointRanges = [];
        public bool IsTentative;

        public bool IsStoring => StoreDoneUs != long.MaxValue;
    }

    public DumpOutcome? Outcome { get; private set; }

    /// <summary>The process died between answering a herald and writing down that it did; the kernel then sends to nobody.</summary>
    public bool ForgotHerald { get; private set; }

    /// <summary>The files of all dumps that were ever begun.</summary>
    public IEnumerable<ModelDisk> Disks => _ledgers.Select(ledger => ledger.Disk);

    public long WakeUs
    {
        get
        {
            long wake = _heraldWork.Count > 0 ? _heraldWork.Peek().DueUs : long.MaxValue;
            foreach (var slot in _slots)
                wake = Math.Min(wake, WakeOf(slot));
            return wake;
        }
    }

    /// <summary>The bytes that a packet's intent names.</summary>
    private static ReadOnlySpan<byte> BytesOf(Slot slot, in StoreIntent intent) => intent.Tag == StoreIntent.OwnBytes
        ? slot.Session.RelocatedBytes
        : slot.Batch[intent.Tag].Datagram.AsSpan(MessageHeader.SizeBytes, intent.Length);

    public void Deliver(ushort port, byte[] datagram, int length, long nowUs)
    {
        if (!world.Life.IsUp)
            return;
        var slot = port == WellKnown.HeraldPort ? SlotOfHerald(datagram.AsSpan(0, length), nowUs) : _slots.Find(s => s.Port == port);
        if (slot is null)
            return;
        slot.Inbox.Enqueue((datagram, length));
        if (slot.PollUs == long.MaxValue)
            slot.PollUs = nowUs + world.Random.NextInt64(1, world.Scenario.ServerPollUs + 1);
    }

    public void Wake(long nowUs)
    {
        while (_heraldWork.Count > 0 && _heraldWork.Peek().DueUs <= nowUs)
        {
            var work = _heraldWork.Dequeue();
            _heralds.RemoveAll(place => place.Port == work.Place.Port);
            if (!work.Forget)
                _heralds.Add(work.Place);
        }

        for (int i = 0; i < _slots.Count; i++)
        {
            var slot = _slots[i];
            if (WakeOf(slot) > nowUs)
                continue;
            if (slot.CheckpointDoneUs <= nowUs)
                FinishCheckpoint(slot);
            else if (slot.StoreDoneUs <= nowUs)
                FinishStore(slot, nowUs);
            else if (slot.CommitUs <= nowUs)
                Commit(slot, nowUs);
            else if (!slot.IsStoring && slot.PollUs <= nowUs)
                TakeBatch(slot, nowUs);
            else
                Tick(slot, nowUs);
        }
    }

    /// <summary>The process is gone, and all that was in its memory and its sockets.</summary>
    public void OnKilled(bool machine)
    {
        if (_slots.Exists(slot => slot.Herald is not null && !_heralds.Exists(place => place.Port == slot.Port)))
        {
            ForgotHerald = true;
            world.Faults.Count(FaultCoverage.HeraldForgotten);
        }

        foreach (var slot in _slots)
            CountKill(slot);
        _slots.Clear();
        _heraldWork.Clear();
        if (machine)
            _heralds.Clear();
        foreach (var ledger in _ledgers)
        {
            if (machine && ledger.OnCrashed(world.Random))
                world.Faults.Count(FaultCoverage.CrashLostBytes);
            else if (!machine)
                ledger.OnKilled();
        }

        if (Outcome is not null && !_ledgers.Exists(ledger => ledger.Manifest == Outcome.Summary))
            Outcome = null;
    }

    private void CountKill(Slot slot)
    {
        world.Faults.Count(slot.CommitUs != long.MaxValue ? FaultCoverage.KilledInCommit : FaultCoverage.KilledIn(slot.Session.Phase));
        if (slot.CheckpointDoneUs != long.MaxValue)
            world.Faults.Count(FaultCoverage.KilledInCheckpoint);
        if (slot.Session.MustSave)
            world.Faults.Count(FaultCoverage.KilledBeforeSave);
        if (slot.Session.Phase == SessionPhase.Receiving && slot.Session.Header is not null)
            world.Faults.Count(FaultCoverage.KilledAfterHeader);
    }

    /// <summary>Another process goes on with what lies in the directory.</summary>
    public void OnStarted(long nowUs)
    {
        foreach (var ledger in _ledgers)
        {
            if (!ledger.IsRemoved)
                Resume(ledger, nowUs);
        }

        var heralds = _heralds.ToArray();
        _heralds.Clear();
        foreach (var herald in heralds)
        {
            if (nowUs - herald.AtUs > new SessionOptions().HalfOpenTimeoutUs || _slots.Exists(s => s.Port == herald.Port))
                continue;
            world.Faults.Count(FaultCoverage.HeraldRestored);
            var session = DumpSession.RestoreHalfOpen(new(), herald.Seqno, herald.Path, nowUs);
            var slot = new Slot(session, herald.Port) { IsTentative = _slots.Count > 0 };
            _slots.Add(slot);
            RememberHerald(slot, nowUs);
        }
    }

    private void Resume(ModelLedger ledger, long nowUs)
    {
        DumpSession session;
        if (ledger.Manifest is not null)
        {
            if (ledger.HasCrashed)
            {
                ledger.IsRemoved = true;
                return;
            }

            session = DumpSession.RestoreLingering(new(), ledger.Manifest.Status != DumpStatus.Incomplete, nowUs);
        }
        else
        {
            bool crashed = ledger.HasCrashed;
            var saved = ledger.Restored();
            if (crashed)
                ledger.Restart(saved);
            var options = new SessionOptions();
            session = DumpSession.Restore(crashed ? options with { ClientTimeoutUs = options.RetryBudgetUs } : options, saved, nowUs);
            world.Faults.Count(saved.State is null ? FaultCoverage.RestoredWithoutState : FaultCoverage.Restored);
            if (saved.State is not null && session.ContiguousBytes > DumpSession.ContiguousBytesOf(saved.State))
                world.Faults.Count(FaultCoverage.RestoredByLength);
        }

        world.Trace($"restored on port {ledger.Port}: {session.Phase}, {session.CoveredBytes} bytes, expects {session.ExpectedFirst}+{session.ExpectedCount}");
        _slots.Add(new(session, ledger.Port) { Ledger = ledger, CheckpointUs = nowUs });
    }

    private long WakeOf(Slot slot)
    {
        long wake = Math.Min(slot.CheckpointDoneUs, Math.Min(slot.StoreDoneUs, slot.CommitUs));
        if (!slot.IsStoring)
            wake = Math.Min(wake, slot.PollUs);
        if (!slot.IsStoring || world.Scenario.TicksWhileStoring)
            wake = Math.Min(wake, slot.Session.WakeUs);
        return wake;
    }

    /// <summary>A repeated herald belongs to the session that waits for data; one that comes later opens a tentative session (protocol.md, "FINISHED").</summary>
    private Slot SlotOfHerald(ReadOnlySpan<byte> datagram, long nowUs)
    {
        if (!MessageHeader.TryRead(datagram, out var header) || header.Type != MessageType.Herald)
            throw world.Broken("the client sent something else than a herald to the herald port");

        var waiting = _slots.Find(s => s.Session.Phase == SessionPhase.HalfOpen);
        if (waiting is not null)
            return waiting;

        if (_slots.Count > 0)
            world.Faults.Count(FaultCoverage.HeraldLate);
        var slot = new Slot(new(new(), header.Seqno, nowUs), _nextPort++) { IsTentative = _slots.Count > 0 };
        _slots.Add(slot);
        return slot;
    }

    private void TakeBatch(Slot slot, long nowUs)
    {
        slot.Batch.Clear();
        while (slot.Batch.Count < world.Scenario.BatchMax && slot.Inbox.TryDequeue(out var packet))
        {
            if (!MessageHeader.TryRead(packet.Datagram.AsSpan(0, packet.Length), out var header))
                throw world.Broken("the client sent a datagram that is no message");

            // Half-open sessions cost no file.
            if (slot.Ledger is null && header.Type is MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey && !Open(slot, nowUs))
                continue;
            var phase = slot.Session.Phase;
            var rejected = slot.Session.OnMessage(header, packet.Datagram.AsSpan(MessageHeader.SizeBytes, (int)header.Length), slot.Batch.Count, nowUs);
            if (header.Type == MessageType.Herald && phase == SessionPhase.HalfOpen && slot.Session.Counters.Packets > 1 && header.Offset == 0)
                world.Faults.Count(FaultCoverage.HeraldRepeated);
            if (rejected is not null)
                world.Trace($"rejected {header}: {rejected}");
            if (slot.IsTentative && header.Type != MessageType.Herald && world.Life.Kills == 0)
                throw world.Broken($"{header} went to a tentative session although the first one had answered");
            slot.Batch.Add(packet);
        }

        slot.PollUs = slot.Inbox.Count > 0 ? nowUs + 1 : long.MaxValue;
        if (world.Scenario.DiskStall > 0 && !slot.Session.Writes.IsEmpty && world.Random.NextDouble() < world.Scenario.DiskStall)
        {
            world.Faults.Count(FaultCoverage.DiskStalled);
            slot.StoreDoneUs = nowUs + world.Random.NextInt64(1, world.Scenario.DiskStallUs + 1);
        }
        else
        {
            FinishStore(slot, nowUs);
        }
    }

    /// <summary>The files of the dump are made; where they cannot be, the client repeats its packets and with them comes the next attempt.</summary>
    private bool Open(Slot slot, long nowUs)
    {
        world.Life.Point();
        if (Fails(world.Scenario.LedgerErrors))
            return false;
        slot.Ledger = new(slot.Port, slot.Session.HeraldSeqno, new(world.Scenario.MachineCrash > 0 || world.Scenario.SyncErrors > 0));
        slot.CheckpointUs = nowUs;
        _ledgers.Add(slot.Ledger);
        world.Life.Point();
        if (slot.Herald is not null)
            _heraldWork.Enqueue((nowUs + world.Random.NextInt64(1, MaxHeraldLagUs), slot.Herald, Forget: true));
        slot.Herald = null;
        return true;
    }

    private void FinishStore(Slot slot, long nowUs)
    {
        slot.StoreDoneUs = long.MaxValue;
        var session = slot.Session;
        int work = session.Writes.Length + session.Records.Length;
        bool fails = work > 0 && (world.Scenario.IsFull(nowUs) || Fails(world.Scenario.DataErrors));
        bool isApart = slot.Ledger is not null && session.WritesApart(slot.Ledger.Disk.Length);
        if (isApart && !TrySaveWithoutLength(slot))
        {
            session.OnStoreFailed(0, 0, "No space left on device", nowUs);
            AfterStep(slot, nowUs);
            return;
        }

        int done = fails ? world.Random.Next(work) : work;
        for (int i = 0; i < Math.Min(done, session.Writes.Length); i++)
            Write(slot, session.Writes[i]);
        for (int i = 0; i < done - session.Writes.Length; i++)
            Record(slot, session.Records[i]);

        if (fails)
        {
            world.Faults.Count(world.Scenario.IsFull(nowUs) ? FaultCoverage.NoSpace : FaultCoverage.WriteFailed);
            if (done < session.Writes.Length)
            {
                var torn = session.Writes[done];
                slot.Ledger!.Disk.WriteTorn(torn.Offset, BytesOf(slot, torn)[..world.Random.Next(torn.Length)]);
            }

            session.OnStoreFailed(Math.Min(done, session.Writes.Length), Math.Max(0, done - session.Writes.Length), "No space left on device", nowUs);
        }
        else
        {
            for (int i = 0; i < session.Compares.Length; i++)
            {
                if (!slot.Ledger!.Disk.Holds(session.Compares[i].Offset, BytesOf(slot, session.Compares[i])))
                    session.OnMismatch(i);
            }

            session.OnStored(nowUs);
        }

        if (session.MustSave && slot.Ledger is not null)
            Save(slot);
        if (!fails)
            TakeCheckpoint(slot, nowUs);
        AfterStep(slot, nowUs);
    }

    private void Write(Slot slot, in StoreIntent write)
    {
        var bytes = BytesOf(slot, write);
        if (world.Life.Strikes())
        {
            slot.Ledger!.Disk.WriteTorn(write.Offset, bytes[..world.Random.Next(bytes.Length)]);
            throw new ServerKilledException();
        }

        slot.Ledger!.Disk.Write(write.Offset, bytes);
        slot.Ledger.Disk.NotePacket(write.Seqno);
    }

    private void Record(Slot slot, in StoreIntent record)
    {
        world.Life.Point();
        slot.Ledger!.Append(new(record.Kind == IntentKind.Kdh ? ModelRecordKind.Kdh : ModelRecordKind.Key, BytesOf(slot, record).ToArray(), record.Offset, [], record.Seqno));
        slot.Ledger.Disk.NotePacket(record.Seqno);
    }

    /// <summary>Nothing is acked that another process would not know of.</summary>
    private void Save(Slot slot)
    {
        var session = slot.Session;
        var ledger = slot.Ledger!;
        if (session.TryLeaveToLength(ledger.Disk.Length))
        {
            world.Faults.Count(FaultCoverage.ToldByLength);
            return;
        }

        world.Life.Point();
        byte[] state = new byte[DumpSession.StateBytes];
        session.Save(state, ledger.Disk.Length);
        if (SaveRanges(slot, ModelRecordKind.Stored, session.UnsavedRanges)
            && SaveRanges(slot, ModelRecordKind.Damaged, session.UnsavedDamage)
            && SaveRanges(slot, ModelRecordKind.Overwritten, session.UnsavedOverwrites)
            && TryWriteState(ledger, state))
        {
            session.OnSaved(state);
            world.Life.Point();
            return;
        }

        world.Faults.Count(FaultCoverage.SaveFailed);
        session.OnSaveFailed();
    }

    /// <summary>The file is about to become longer than what is stored of it from 0 on.</summary>
    private bool TrySaveWithoutLength(Slot slot)
    {
        world.Life.Point();
        byte[] state = new byte[DumpSession.StateBytes];
        slot.Session.SaveWithoutLength(state, slot.Ledger!.Disk.Length);
        if (!TryWriteState(slot.Ledger, state))
            return false;
        slot.Session.OnSavedWithoutLength();
        world.Faults.Count(FaultCoverage.SavedWithoutLength);
        world.Life.Point();
        return true;
    }

    private bool TryWriteState(ModelLedger ledger, byte[] state)
    {
        if (Fails(world.Scenario.LedgerErrors))
            return false;
        if (world.Life.Strikes())
        {
            ledger.TearState();
            world.Faults.Count(FaultCoverage.StateTorn);
            throw new ServerKilledException();
        }

        ledger.WriteState(state);
        return true;
    }

    private bool SaveRanges(Slot slot, ModelRecordKind kind, ReadOnlySpan<ByteRange> ranges)
    {
        if (ranges.IsEmpty)
            return true;
        if (Fails(world.Scenario.LedgerErrors))
            return false;
        slot.Ledger!.Append(new(kind, [], 0, ranges.ToArray()));
        world.Life.Point();
        return true;
    }

    private void TakeCheckpoint(Slot slot, long nowUs)
    {
        if (slot.Ledger is null || world.Scenario.CheckpointUs == 0 || slot.CheckpointDoneUs != long.MaxValue || nowUs - slot.CheckpointUs < world.Scenario.CheckpointUs
            || slot.Session.Phase != SessionPhase.Receiving)
            return;

        slot.CheckpointUs = nowUs;
        slot.CheckpointState = new byte[DumpSession.StateBytes];
        slot.Session.Save(slot.CheckpointState);
        slot.CheckpointRanges = slot.Session.CoveredRanges.ToArray();
        slot.CheckpointDoneUs = nowUs + world.Random.NextInt64(1, 20_000);
        slot.Ledger.Disk.BeginSync();
    }

    private void FinishCheckpoint(Slot slot)
    {
        slot.CheckpointDoneUs = long.MaxValue;
        if (!SyncData(slot))
            return;
        world.Life.Point();
        if (Fails(world.Scenario.LedgerErrors))
            return;
        slot.Ledger!.Append(new(ModelRecordKind.Checkpoint, slot.CheckpointState!, 0, slot.CheckpointRanges));
        world.Life.Point();
        slot.Ledger.Sync();
        world.Faults.Count(FaultCoverage.Checkpointed);
        world.Trace($"checkpoint of {string.Join(", ", slot.CheckpointRanges)}");
    }

    /// <summary>A sync that failed is never taken back, because the system reports a lost page once.</summary>
    private bool SyncData(Slot slot)
    {
        var ledger = slot.Ledger!;
        if (ledger.SyncFailed)
            return false;
        if (!Fails(world.Scenario.SyncErrors))
        {
            ledger.Disk.EndSync();
            return true;
        }

        world.Faults.Count(FaultCoverage.SyncFailed);
        world.Trace("fsync fails");
        if (ledger.Disk.FailSync(world.Random))
            world.Faults.Count(FaultCoverage.SyncLostBytes);
        ledger.NoteSyncFailure();
        return false;
    }

    private void Tick(Slot slot, long nowUs)
    {
        if (slot.IsStoring)
            world.Faults.Count(FaultCoverage.TickedWhileStoring);
        slot.Session.OnTick(nowUs);
        if (!slot.IsStoring && slot.Session.MustSave)
            Save(slot);
        AfterStep(slot, nowUs);
        if (slot.Session.WakeUs <= nowUs)
            throw world.Broken($"the session wants to be woken at {slot.Session.WakeUs} again and again");
    }

    /// <summary>Data durable, name noted, renamed, described, durable again, and only then the client is told.</summary>
    private void Commit(Slot slot, long nowUs)
    {
        slot.CommitUs = long.MaxValue;
        var ledger = slot.Ledger!;
        var summary = slot.Session.Summary!;
        world.Life.Point();
        ledger.Disk.BeginSync();
        if (!SyncData(slot))
        {
            Describe(slot, summary with { Status = DumpStatus.Incomplete, Reason = EndReason.WriteError, Error = "fsync failed" });
            slot.Session.OnCommitFailed(nowUs);
            ledger.IsRemoved = true;
            AfterStep(slot, nowUs);
            return;
        }

        world.Life.Point();
        if (++slot.CommitAttempts < MaxCommitAttempts && Fails(world.Scenario.LedgerErrors))
        {
            world.Faults.Count(FaultCoverage.CommitFailed);
            slot.CommitUs = nowUs + CommitRetryUs;
            return;
        }

        Describe(slot, summary);
        slot.Session.OnCommitted(nowUs);
        AfterStep(slot, nowUs);
    }

    private void Describe(Slot slot, DumpSummary summary)
    {
        var ledger = slot.Ledger!;
        world.Life.Point();
        ledger.Sync();
        world.Life.Point();
        ledger.WriteManifest(summary);
        world.Trace($"the manifest says {summary.Status}");
        // What lies there under a final name is what an operator sees, whether or not the process lives to say so.
        if (!slot.IsTentative)
            Outcome = new(summary.Status == DumpStatus.Complete, summary, ledger.Disk);
        world.Life.Point();
        ledger.SyncManifest();
        world.Life.Point();
    }

    private void RememberHerald(Slot slot, long nowUs)
    {
        slot.Herald = new(slot.Port, slot.Session.HeraldSeqno, slot.Session.HeraldPath.ToArray(), nowUs);
        _heraldWork.Enqueue((nowUs + world.Random.NextInt64(1, MaxHeraldLagUs), slot.Herald, Forget: false));
    }

    private void AfterStep(Slot slot, long nowUs)
    {
        var session = slot.Session;
        if (slot.IsStoring && session.MustSave)
            return;
        if (slot.Ledger is not null && session.MustSave && session.Phase is SessionPhase.Receiving)
            throw world.Broken("acks are about to leave for what no other process would know of");
        if (session.Phase == SessionPhase.HalfOpen && !session.Acks.IsEmpty && world.Scenario.Kills > 0)
        {
            RememberHerald(slot, nowUs);
        }

        foreach (uint seqno in session.Acks)
        {
            world.Life.Point();
            world.SendAck(slot.Port, seqno, slot.Ledger?.Disk);
        }

        session.ClearAcks();
        if (session.Phase == SessionPhase.Ending && slot.CommitUs == long.MaxValue && slot.CommitAttempts == 0)
            slot.CommitUs = nowUs + world.Random.NextInt64(1, world.Scenario.CommitUs + 1);
        if (session.Phase == SessionPhase.Closed && slot.Ledger is not null)
            slot.Ledger.IsRemoved = true;
    }

    private bool Fails(double probability) => probability > 0 && world.Random.NextDouble() < probability;
}
