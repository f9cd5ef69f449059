using System.Globalization;
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
        if (_opening || (_file is null && NeedsFile(datagrams)))
        {
            Stage(datagrams);
            if (!_opening)
                Open();
            return;
        }

        Process(datagrams);
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
        _staging ??= new();
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
        _storage ??= Context.Spawn<StorageActor.Message>("storage", _environment.StorageThreads,
            () => new StorageActor(_environment.Directory, Self), new() { MailboxCapacity = 64 });
        var identity = new DumpIdentity(DumpId.New(_startedAt), _client.Remote, _startedAt);
        string path = PrintableText.From(_session.HeraldPath);
        _storage.Tell(new StorageActor.Open(identity, path.Length == 0 ? null : path));
        if (_started)
            return;

        _started = true;
        _environment.Counters.DumpStarted();
        Reach(SessionMilestone.Data);
        _hostLookup = _environment.HostNames.ResolveAsync(_client.Remote);
        if (_hostLookup.IsCompletedSuccessfully)
        {
            _host = _hostLookup.Result;
            return;
        }

        var self = Self;
        _ = _hostLookup.ContinueWith(lookup => self.Tell(new HostResolved(lookup.Result)), TaskScheduler.Default);
    }

    private void OnOpened(DumpFile file)
    {
        _opening = false;
        _file = file;
        Announce();
        if (file.RefusedPath is not null)
            CollectorLog.PathRefused(_environment.Logger, ClientName, file.RefusedPath);
        using var staging = _staging!;
        _staging = null;
        Process(staging.Datagrams);
    }

    /// <summary>The staged packets are forgotten: none was acked, so the client sends them again and with them comes the next attempt.</summary>
    private void OnOpenFailed(string error)
    {
        _opening = false;
        _staging?.Dispose();
        _staging = null;
        LogWriteError(error);
    }

    /// <summary>Takes packets, stores what is to be stored and lets the session say what may be acked.</summary>
    private void Process(ReadOnlySpan<Datagram> datagrams)
    {
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

        Store(datagrams, nowUs);
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

    private void Store(ReadOnlySpan<Datagram> datagrams, long nowUs)
    {
        int writesDone = Write(datagrams, out string? error);
        int recordsDone = error is null ? Record(datagrams, out error) : 0;
        if (error is not null)
        {
            _session.OnStoreFailed(writesDone, recordsDone, error, nowUs);
            LogWriteError(error);
            return;
        }

        Compare(datagrams);
        _session.OnStored(nowUs);
        StartWriteback();
        if (_loggedWriteError is null)
            return;
        CollectorLog.WritesAgain(_environment.Logger, ClientName);
        _loggedWriteError = null;
    }

    private unsafe int Write(ReadOnlySpan<Datagram> datagrams, out string? error)
    {
        error = null;
        var writes = _session.Writes;
        if (writes.IsEmpty)
            return 0;

        var slices = _environment.Slices.AsSpan(0, writes.Length);
        fixed (byte* relocated = _session.RelocatedBytes)
        {
            for (int i = 0; i < writes.Length; i++)
            {
                ref readonly var write = ref writes[i];
                byte* bytes = write.Tag == StoreIntent.OwnBytes ? relocated : datagrams[write.Tag].Data + MessageHeader.SizeBytes;
                slices[i] = new(write.Offset, bytes, write.Length);
            }

            return _file!.Write(slices, out error);
        }
    }

    private int Record(ReadOnlySpan<Datagram> datagrams, out string? error)
    {
        error = null;
        var records = _session.Records;
        for (int i = 0; i < records.Length; i++)
        {
            ref readonly var record = ref records[i];
            var bytes = datagrams[record.Tag].Span[MessageHeader.SizeBytes..];
            bool done = record.Kind == IntentKind.Kdh
                ? _file!.AppendKdh(bytes, out error)
                : _file!.AppendKey(record.Offset, bytes, out error);
            if (!done)
                return i;
            if (record.Kind == IntentKind.Kdh && !_kdhLogged)
                CollectorLog.KdhFrom(_environment.Logger, ClientName);
            _kdhLogged |= record.Kind == IntentKind.Kdh;
        }

        return records.Length;
    }

    private void Compare(ReadOnlySpan<Datagram> datagrams)
    {
        var compares = _session.Compares;
        for (int i = 0; i < compares.Length; i++)
        {
            ref readonly var compare = ref compares[i];
            if (_file!.Matches(compare.Offset, datagrams[compare.Tag].Span[MessageHeader.SizeBytes..]))
                continue;
            if (Route.IsContested)
            {
                _session.OnForeign(i);
                Route.MetForeign = true;
                continue;
            }

            if (!_damageLogged)
                CollectorLog.Damaged(_environment.Logger, ClientName, compare.Seqno, compare.Offset, compare.Length);
            _damageLogged = true;
            _session.OnMismatch(i);
        }
    }

    /// <summary>Bytes go to the device while others arrive, so that the fsync before the last ack is short.</summary>
    private void StartWriteback()
    {
        ulong covered = _session.CoveredBytes;
        if (covered - _writebackFrom < WritebackBytes)
            return;

        _storage?.Tell(new StorageActor.StartWriteback(_file!, _writebackFrom, covered - _writebackFrom));
        _writebackFrom = covered;
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
