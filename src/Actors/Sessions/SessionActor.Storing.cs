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
    private void OnPackets(ReadOnlySpan<Datagram> datagrams)
    {
        Route.AnswersLater = false;
        if (_isStoring || _opening || (_file is null && NeedsFile(datagrams)))
        {
            Stage(datagrams);
            if (_file is null && !_opening)
                Open();
        }
        else if (_file is null || _lane!.IsInline)
        {
            Process(datagrams, Route.IsContested);
        }
        else
        {
            Stage(datagrams);
            StoreStaged();
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

    private void Stage(ReadOnlySpan<Datagram> datagrams)
    {
        Route.AnswersLater = true;
        _staging ??= new();
        _staging.IsContested |= Route.IsContested;
        foreach (ref readonly var datagram in datagrams)
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
        var identity = new DumpIdentity(DumpId.New(_startedAt), _client.Remote, _startedAt);
        _storage.Tell(new StorageActor.Open(identity, path.Length == 0 ? null : path));
        if (_started)
            return;

        _started = true;
        _environment.Counters.DumpStarted();
        Reach(SessionMilestone.Data);
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

    private void OnOpened(DumpFile file, FileSystemLane lane)
    {
        _opening = false;
        _file = file;
        _lane = lane;
        Announce();
        if (file.RefusedPath is not null)
            CollectorLog.PathRefused(_environment.Logger, ClientName, file.RefusedPath);
        OnStaged();
    }

    /// <summary>The staged packets are forgotten: none was acked, so the client sends them again and with them comes the next attempt.</summary>
    private void OnOpenFailed(string error)
    {
        _opening = false;
        _staging?.Dispose();
        _staging = null;
        LogWriteError(error);
    }

    /// <summary>What waited for the files, or for the batch before, is next.</summary>
    private void OnStaged()
    {
        if (_staging is not { Count: > 0 } staging)
            return;
        if (_file is not null && !_lane!.IsInline)
        {
            StoreStaged();
            return;
        }

        _staging = null;
        using (staging)
            Process(staging.Datagrams, staging.IsContested);
    }

    /// <summary>Takes packets, stores what is to be stored and lets the session say what may be acked.</summary>
    private void Process(ReadOnlySpan<Datagram> datagrams, bool isContested)
    {
        TakeAll(datagrams, isContested);
        if (_file is null || !_store.HasWork)
        {
            _session.OnStored(Context.NowUs);
            return;
        }

        var loop = _environment.EventLoop;
        var start = _lane!.BeginWrite();
        loop.BeginBlockingCall(_lane);
        try
        {
            _store.Run(_file, datagrams);
        }
        finally
        {
            _isStoring = !loop.EndBlockingCall();
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
        (_stored, _staging) = (_staging!, _stored);
        TakeAll(_stored.Datagrams, _stored.IsContested);
        if (!_store.HasWork)
        {
            _stored.Clear();
            _session.OnStored(Context.NowUs);
            return;
        }

        _isStoring = true;
        _writer ??= Context.Spawn<WriterActor.StoreBurst>("writer", _lane!.Writers, () => new WriterActor(_lane, Route.Ref),
            new() { MailboxCapacity = 4, Strategy = SupervisorStrategy.Escalate });
        _writer.Tell(new(_store, _file!, _stored));
    }

    /// <summary>Another thread has carried out the batch.</summary>
    private void OnBatchStored()
    {
        _isStoring = false;
        Route.MetForeign = false;
        ulong before = _session.CoveredBytes;
        Settle();
        if (_isContested && _session.CoveredBytes > before)
            Reach(SessionMilestone.Advanced);
        else if (_isContested && Route.MetForeign)
            Reach(SessionMilestone.MetForeign);
        _stored?.Clear();
        if (_endAfterStore is EndReason reason)
            _session.End(reason);
        AfterChange();
        OnStaged();
        if (_lane!.IsInline && !_isStoring)
        {
            _stored?.Dispose();
            _stored = null;
        }
    }

    private void TakeAll(ReadOnlySpan<Datagram> datagrams, bool isContested)
    {
        _isContested = isContested;
        long nowUs = Context.NowUs;
        long payloadBytes = _session.Counters.PayloadBytes;
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

        _environment.Counters.AddBatch(used, _session.Counters.PayloadBytes - payloadBytes, acks: 0);
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
        if (_store.RecordsDone > 0 && !_kdhLogged)
            LogKdh();
        if (_store.Error is string error)
        {
            _session.OnStoreFailed(_store.WritesDone, _store.RecordsDone, error, Context.NowUs);
            LogWriteError(error);
            return;
        }

        foreach (int index in _store.Differing)
            OnDifferent(index);
        _session.OnStored(Context.NowUs);
        StartWriteback();
        if (_loggedWriteError is null)
            return;
        CollectorLog.WritesAgain(_environment.Logger, ClientName);
        _loggedWriteError = null;
    }

    private void OnDifferent(int compareIndex)
    {
        if (_isContested)
        {
            _session.OnForeign(compareIndex);
            Route.MetForeign = true;
            return;
        }

        ref readonly var compare = ref _session.Compares[compareIndex];
        if (!_damageLogged)
            CollectorLog.Damaged(_environment.Logger, ClientName, compare.Seqno, compare.Offset, compare.Length);
        _damageLogged = true;
        _session.OnMismatch(compareIndex);
    }

    /// <summary>Bytes go to the device while others arrive, so that the fsync before the last ack is short.</summary>
    private void StartWriteback()
    {
        ulong covered = _session.CoveredBytes;
        if (covered - _writebackFrom < WritebackBytes)
            return;

        _lane!.Upkeep.Tell(new FileSystemActor.StartWriteback(_file!, _writebackFrom, covered - _writebackFrom));
        _writebackFrom = covered;
    }

    private void LogKdh()
    {
        foreach (ref readonly var record in _session.Records[.._store.RecordsDone])
        {
            if (record.Kind != IntentKind.Kdh)
                continue;
            CollectorLog.KdhFrom(_environment.Logger, ClientName);
            _kdhLogged = true;
            return;
        }
    }

    private void Reject(RejectReason reason, in Datagram datagram) =>
        _environment.Rejects.Add(reason, datagram.Remote, Context.NowUs);

    private void LogWriteError(string error)
    {
        // The client repeats its burst each second; the same trouble is told once.
        if (_loggedWriteError is not null)
            return;
        _loggedWriteError = error;
        CollectorLog.WriteError(_environment.Logger, ClientName, string.Create(CultureInfo.InvariantCulture, $"{error}"));
    }
}
