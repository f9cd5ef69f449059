using System.Globalization;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

public sealed partial class SessionActor
{
    private void OnPackets(PacketRun run)
    {
        var datagrams = run.Datagrams;
        Route.AnswersLater = false;
        if (_isStoring || _opening || (_file is null && NeedsFile(datagrams)))
        {
            if (!_started && _refusalOfDump() is { } refusal)
            {
                // The client repeats it each second, and with it comes the next attempt.
                foreach (ref readonly var datagram in datagrams)
                    Reject(refusal, datagram);
                return;
            }

            Stage(run);
            if (_file is null && !_opening)
                Open();
        }
        else if (_file is null || StoresInline)
        {
            Process(datagrams, run.HasRival, run.IsContested);
        }
        else
        {
            Stage(run);
            StoreStaged();
            Route.AnswersLater = _isStoring;
        }
    }

    /// <summary>Half-open sessions cost no file: it is made for the first packet after the herald.</summary>
    private bool NeedsFile(ReadOnlySpan<Datagram> datagrams)
    {
        if (_session.Phase is not (SessionPhase.HalfOpen or SessionPhase.Receiving))
            return false;

        foreach (ref readonly var datagram in datagrams)
        {
            if (datagram.Remote == _client.Remote
                && MessageHeader.TryRead(datagram.Span, out var header)
                && header.Type is MessageType.Vmcore or MessageType.Kdh or MessageType.EkcdKey)
                return true;
        }

        return false;
    }

    private void Stage(PacketRun run)
    {
        Route.AnswersLater = true;
        _staging ??= _environment.FileSystems.Stagings.Rent();
        _staging.Begin(run);
        _meter.OnStaged(Context.NowUs);
        foreach (ref readonly var datagram in run.Datagrams)
        {
            if (datagram.Remote != _client.Remote)
                Reject(RejectReason.ForeignSource, datagram);
            else if (!_staging.TryAdd(datagram))
                Reject(RejectReason.Backpressure, datagram);
        }
    }

    private void Open()
    {
        _opening = true;
        string path = PrintableText.From(_session.HeraldPath);
        _storage ??= Context.Spawn<StorageActor.Message>("storage", _environment.FileSystems.OpenersOf(path),
            () => new StorageActor(_environment, Route.Ref), new() { MailboxCapacity = 64 });
        string id = _environment.Takeovers is null ? DumpId.New(_startedAt) : DumpId.Of(_startedAt, _client.Remote);
        var identity = new DumpIdentity(id, _client.Remote, _startedAt) { Continues = _continues };
        _storage.Tell(new StorageActor.Open(identity, Endpoint, path.Length == 0 ? null : path));
        if (_started)
            return;

        _started = true;
        _dataUs = Context.NowUs;
        _environment.Metrics.DumpStarted();
        Reach(SessionMilestone.Data);
        LookUpHost();
    }

    private void LookUpHost()
    {
        _hostLookup = _environment.HostNames.Resolve(_client.Remote);
        if (_hostLookup.IsCompletedSuccessfully)
        {
            _host = _hostLookup.Result;
            return;
        }

        _hostDueUs = Context.NowUs + (long)_environment.HostNames.Deadline.TotalMicroseconds;
        var self = Self;
        _ = _hostLookup.ContinueWith(lookup => self.Tell(new HostResolved(lookup.Result)), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private void OnOpened(DumpFile file, FileSystemLane lane, HeadroomVerdict headroom)
    {
        _store.DecideKeep(headroom == HeadroomVerdict.HeadersOnly, Context.NowUs);
        _opening = false;
        _file = file;
        _path = file.PartialPath;
        _lane = lane;
        ForgetHerald();
        BeginTrace();
        Announce();
        if (file.RefusedPath is not null)
            CollectorLog.PathRefused(_environment.Logger, ClientName, file.RefusedPath);
        OnStaged();
    }

    /// <summary>The staged packets are forgotten: none was acked, so the client sends them again and with them comes the next attempt.</summary>
    private void OnOpenFailed(string error)
    {
        _opening = false;
        GiveBack(ref _staging);
        LogWriteError(error);
    }

    /// <summary>What waited for the files, or for the batch before, is next.</summary>
    private void OnStaged()
    {
        var staging = _staging;
        if (staging is not { Count: > 0 })
            return;
        if (_file is not null && !StoresInline)
        {
            StoreStaged();
        }
        else
        {
            _staging = null;
            try
            {
                Process(staging.Datagrams, staging.HasRival, staging.IsContested);
            }
            finally
            {
                GiveBack(ref staging);
            }
        }

        if (!_isStoring)
            TellVerdict();
    }

    /// <summary>Who brought these packets has gone on meanwhile, and is told now whose they were.</summary>
    private void TellVerdict()
    {
        if (_hasRival && Route.HasAdvanced)
            Reach(SessionMilestone.Advanced);
        else if (_isContested && Route.MetForeign)
            Reach(SessionMilestone.MetForeign);
    }

    /// <summary>Takes packets, stores what is to be stored and lets the session say what may be acked.</summary>
    private void Process(ReadOnlySpan<Datagram> datagrams, bool hasRival, bool isContested)
    {
        TakeAll(datagrams, hasRival, isContested);
        if (_file is null || !_store.HasWork)
            _session.OnStored(Context.NowUs);
        if (_file is not null && _store.HasWork)
            StoreHere(datagrams);
    }

    /// <summary>The loop writes itself: not where acks wait for the device, nor where the file system has shown that it holds loops up.</summary>
    private bool StoresInline => _lane!.IsInline && !_file!.IsShared;

    private void StoreHere(ReadOnlySpan<Datagram> datagrams)
    {
        var loop = _environment.EventLoop;
        var start = _lane!.BeginWrite();
        loop.BeginBlockingCall(_lane);
        try
        {
            _store.Run(_file!, datagrams, _isContested, Context.NowUs);
        }
        finally
        {
            _isStoring = !loop.EndBlockingCall();
            if (_isStoring)
                _lane.EndStalledWrite(start);
        }

        if (_isStoring)
        {
            // The loop goes on without this thread; there the session takes up what follows.
            Self.Tell(new BatchStored());
            return;
        }

        _lane.EndInlineWrite(start);
        Settle();
    }

    /// <summary>Hands what is staged to the file system's own threads.</summary>
    private void StoreStaged()
    {
        (_stored, _staging) = (_staging!, null);
        TakeAll(_stored.Datagrams, _stored.HasRival, _stored.IsContested);
        // Whether the dump is still this node's is asked where it is stored.
        bool hasWork = _store.HasWork || _file!.IsShared;
        if (!hasWork)
            _session.OnStored(Context.NowUs);
        if (hasWork)
            StoreElsewhere(_stored);
        else
            GiveBack(ref _stored);
    }

    private void StoreElsewhere(Staging packets)
    {
        _isStoring = true;
        _writer ??= Context.Spawn<WriterActor.StoreBurst>("writer", _lane!.Writers, () => new WriterActor(_lane, Route.Ref),
            new() { MailboxCapacity = 4, Strategy = SupervisorStrategy.Escalate });
        _writer.Tell(new(_store, _file!, packets, Context.NowUs));
    }

    /// <summary>Acks that time released wait, as all others do, for what another process would need to know.</summary>
    private void SaveState()
    {
        _hasRival = _isContested = false;
        if (StoresInline)
            StoreHere([]);
        else
            StoreElsewhere(_stored = _environment.FileSystems.Stagings.Rent());
    }

    /// <summary>The dump goes on with another owner: another node that has claimed it, or this one anew when the device takes bytes again. Its files stay as they are.</summary>
    private void LeaveToNextOwner()
    {
        using var scope = InTrace();
        if (_store.HasFailed && !_store.IsSuperseded)
            CollectorLog.SharedNotDurable(_environment.Logger, ClientName, _store.SaveError ?? "");
        else
            CollectorLog.TakenOver(_environment.Logger, ClientName, _path ?? "begun there");
        if (!_handedOver)
            _environment.Metrics.DumpHandedOver();
        Context.Stop();
    }

    /// <summary>Another thread has carried out the batch.</summary>
    /// <returns>False where the dump is not this owner's any more: what time or the batch released is acked by whoever has it.</returns>
    private bool TrySettleStored()
    {
        _isStoring = false;
        if (_store.IsSuperseded || _store.HasFailed)
        {
            LeaveToNextOwner();
            return false;
        }

        Settle();
        TellVerdict();
        GiveBack(ref _stored);
        if (_endAfterStore is EndReason reason)
            _session.End(reason);
        AfterChange();
        OnStaged();
        return true;
    }

    private void GiveBack(ref Staging? staging)
    {
        if (staging is not null)
            _environment.FileSystems.Stagings.Return(staging);
        staging = null;
    }

    private void TakeAll(ReadOnlySpan<Datagram> datagrams, bool hasRival, bool isContested)
    {
        _hasRival = hasRival;
        _isContested = isContested;
        Route.HasAdvanced = Route.MetForeign = false;
        _session.SupersedesOlder = _wonBurst || !Route.IsShadow;
        long nowUs = Context.NowUs;
        TracePackets(nowUs);
        int used = 0;
        for (int i = 0; i < datagrams.Length; i++)
        {
            ref readonly var datagram = ref datagrams[i];
            var rejected = Take(datagram, i, nowUs);
            if (rejected is RejectReason reason)
                Reject(reason, datagram);
            else
                used++;
            Route.MetForeign |= rejected == RejectReason.ConflictingSeqno;
        }

        _meter.OnTaken(used, nowUs);
    }

    private RejectReason? Take(in Datagram datagram, int tag, long nowUs)
    {
        if (datagram.Remote != _client.Remote)
            return RejectReason.ForeignSource;
        if (!MessageHeader.TryRead(datagram.Span, out var header))
            return datagram.Length < MessageHeader.SizeBytes ? RejectReason.Runt : RejectReason.WrongLength;
        return _session.OnMessage(header, datagram.Span[MessageHeader.SizeBytes..], tag, nowUs);
    }

    /// <summary>The files are as the batch wanted them, or the reason why not is known.</summary>
    private void Settle()
    {
        Route.HasAdvanced = _store.HasAdvanced;
        _meter.OnStored();
        _trace?.OnStored(_session.CoveredBytes, ExpectedBytes, Context.NowUs);
        if (_session.Header is not null && !_kdhLogged)
        {
            _kdhLogged = true;
            TraceHeader(_session.Header);
            using var scope = InTrace();
            CollectorLog.KdhFrom(_environment.Logger, ClientName);
        }

        if (_store.Error is string error)
        {
            LogWriteError(error);
            return;
        }

        if (_store.SaveError is string unsaved && !_saveErrorLogged)
        {
            using var scope = InTrace();
            CollectorLog.StateNotSaved(_environment.Logger, ClientName, unsaved);
            _saveErrorLogged = true;
        }

        if (_store.FirstDifference is StoreIntent difference)
            OnDifferent(difference);
        StartWriteback();
        TakeCheckpoint();
        SizeDump();
        if (_loggedWriteError is null)
            return;
        using var inTrace = InTrace();
        CollectorLog.WritesAgain(_environment.Logger, ClientName);
        _loggedWriteError = null;
    }

    private void OnDifferent(in StoreIntent difference)
    {
        if (_isContested)
        {
            Route.MetForeign = true;
            return;
        }

        using var scope = InTrace();
        if (!_damageLogged)
            CollectorLog.Damaged(_environment.Logger, ClientName, difference.Seqno, difference.Offset, difference.Length);
        _damageLogged = true;
    }

    /// <summary>Bytes go to the device while others arrive, so that the fsync before the last ack is short.</summary>
    private void StartWriteback()
    {
        ulong covered = _session.CoveredBytes;
        if (covered - _writebackFrom < WritebackBytes || _file!.IsShared)
            return;

        _lane!.Upkeep.Tell(new FileSystemActor.StartWriteback(_file!, _writebackFrom, covered - _writebackFrom));
        _writebackFrom = covered;
    }

    /// <summary>When the bytes since the last checkpoint get one although no more come.</summary>
    private long CheckpointDueUs => _file is not { IsShared: false } || _isCheckpointing || _session.Phase != SessionPhase.Receiving || _session.CoveredBytes == _checkpointFrom
        ? long.MaxValue
        : _checkpointUs + CheckpointUs;

    /// <summary>A crash of the machine loses what came after the last checkpoint, so there is one now and then, on threads that may wait.</summary>
    private void TakeCheckpoint()
    {
        ulong covered = _session.CoveredBytes;
        // Where acks wait for the device, each of them is one.
        if (_isCheckpointing || _file!.IsShared || (covered - _checkpointFrom < CheckpointBytes && Context.NowUs - _checkpointUs < CheckpointUs))
            return;

        _isCheckpointing = true;
        _checkpointFrom = covered;
        _checkpointUs = Context.NowUs;
        byte[] state = new byte[DumpSession.StateBytes];
        _session.Save(state);
        _checkpoints ??= Context.Spawn<CheckpointActor.TakeCheckpoint>("checkpoint", _lane!.Checkpointers, () => new CheckpointActor(Route.Ref), new() { MailboxCapacity = 4 });
        _checkpoints.Tell(new(_file!, state, _session.CoveredRanges.ToArray(), _trace?.Root));
    }

    /// <summary>Has the dump's length found out once what tells it is in the file: twice, first where the bitmap of pages is, then what is in it.</summary>
    private void SizeDump()
    {
        if (_sizeWhenHeldBytes is not ulong wanted || _isStoring || _file is null)
            return;
        ulong held = Math.Min(_session.ContiguousBytes, _session.KeptBytes);
        if (held < wanted)
            return;

        _sizeWhenHeldBytes = null;
        if (_session.Header is null)
            _lane!.Sizing.Tell(new(_file, held, Route.Ref));
    }

    private void Reject(RejectReason reason, in Datagram datagram) =>
        _environment.Rejects.Add(reason, datagram.Remote, Context.NowUs);

    private void LogWriteError(string error)
    {
        // The client repeats its burst each second; the same trouble is told once.
        if (_loggedWriteError is not null)
            return;
        _loggedWriteError = error;
        using var scope = InTrace();
        CollectorLog.WriteError(_environment.Logger, ClientName, string.Create(CultureInfo.InvariantCulture, $"{error}"));
    }
}
