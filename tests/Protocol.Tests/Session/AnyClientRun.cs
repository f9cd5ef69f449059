using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>One step of a client, a disk and a clock that follow no rules.</summary>
internal abstract record AnyStep
{
    /// <summary>A batch arrives; the disk takes so many of its writes and records.</summary>
    public sealed record Batch(ClientMessage[] Messages, int WritesDone, int RecordsDone) : AnyStep;

    public sealed record Wait(long Us) : AnyStep;

    /// <summary>The dump becomes durable, if it has ended, or fails to.</summary>
    public sealed record Commit(bool Succeeds) : AnyStep;

    public sealed record End(EndReason Reason) : AnyStep;
}

/// <summary>Holds everything a session says against what really was stored.</summary>
internal sealed class AnyClientRun(uint heraldSeqno)
{
    public const int DumpBytes = 4000;

    private readonly DumpSession _session = new(new() { MaxDumpBytes = DumpBytes, MaxRanges = 40, MaxKeyBytes = 200, MaxPathBytes = 50 }, heraldSeqno, 0);
    private readonly bool[] _stored = new bool[DumpBytes];
    private readonly HashSet<(uint Seqno, int Start, int Length)> _packets = [];
    private readonly HashSet<uint> _storedPackets = [];
    private readonly HashSet<uint> _failedPackets = [];
    private readonly HashSet<uint> _headers = [];
    private readonly HashSet<uint> _storedRecords = [];
    private readonly HashSet<uint> _heralds = [];
    private readonly HashSet<uint> _finished = [];
    private readonly Random _random = new(1);
    private long _nowUs;
    private bool _committed;

    /// <summary>What was wrong, or null.</summary>
    public string? Broken { get; private set; }

    public DumpSession Session => _session;

    public void Run(IEnumerable<AnyStep> steps)
    {
        foreach (var step in steps)
        {
            Apply(step);
            JudgeAcks();
            JudgeSummary();
            if (Broken is not null)
                return;
        }
    }

    private void Apply(AnyStep step)
    {
        switch (step)
        {
            case AnyStep.Batch batch:
                Receive(batch);
                break;
            case AnyStep.Wait wait:
                Wait(wait.Us);
                break;
            case AnyStep.Commit commit when _session.Phase == SessionPhase.Ending:
                _committed |= commit.Succeeds;
                if (commit.Succeeds)
                    _session.OnCommitted(_nowUs);
                else
                    _session.OnCommitFailed(_nowUs);
                break;
            case AnyStep.End end:
                _session.End(end.Reason);
                break;
        }
    }

    private void Wait(long us)
    {
        long untilUs = _nowUs + us;
        while (_session.WakeUs <= untilUs)
        {
            _nowUs = Math.Max(_nowUs, _session.WakeUs);
            _session.OnTick(_nowUs);
            JudgeAcks();
            if (_session.WakeUs > _nowUs)
                continue;
            Broken ??= $"wants to be woken at {_session.WakeUs} again and again";
            return;
        }

        _nowUs = untilUs;
    }

    private void Receive(AnyStep.Batch batch)
    {
        for (int tag = 0; tag < batch.Messages.Length; tag++)
        {
            var message = batch.Messages[tag];
            if (_session.OnMessage(message.Header, message.Payload, tag, _nowUs) is not null)
                continue;
            _ = message.Type switch
            {
                MessageType.Herald => _heralds.Add(message.Seqno),
                MessageType.Vmcore => _packets.Add((message.Seqno, (int)message.Offset, message.Payload.Length)),
                MessageType.Kdh => _headers.Add(message.Seqno),
                MessageType.Finished => _finished.Add(message.Seqno),
                _ => false,
            };
        }

        int writes = Math.Min(batch.WritesDone, _session.Writes.Length);
        int records = Math.Min(batch.RecordsDone, _session.Records.Length);
        foreach (var write in _session.Writes[..writes])
        {
            _stored.AsSpan((int)write.Offset, write.Length).Fill(true);
            _storedPackets.Add(write.Seqno);
        }

        _failedPackets.Clear();
        foreach (var write in _session.Writes[writes..])
            _failedPackets.Add(write.Seqno);
        _failedPackets.ExceptWith(_storedPackets);
        foreach (var record in _session.Records[..records])
            _storedRecords.Add(record.Seqno);
        if (writes < _session.Writes.Length || records < _session.Records.Length)
        {
            _session.OnStoreFailed(writes, records, "disk full", _nowUs);
            return;
        }

        for (int i = 0; i < _session.Compares.Length; i++)
        {
            var compare = _session.Compares[i];
            if (_stored.AsSpan((int)compare.Offset, compare.Length).Contains(false))
                Broken ??= $"compares {compare} with bytes that are not stored";
            if (_random.Next(10) == 0)
                _session.OnMismatch(i);
        }

        _session.OnStored(_nowUs);
    }

    private void JudgeAcks()
    {
        foreach (uint seqno in _session.Acks)
        {
            bool isFinished = _finished.Contains(seqno) && (_committed || _session.Summary is null);
            bool isRepeatedHeader = _headers.Contains(seqno) && _session.Header is { IsValid: true };
            bool isStored = !_failedPackets.Contains(seqno) && _packets.Any(packet => packet.Seqno == seqno && !_stored.AsSpan(packet.Start, packet.Length).Contains(false));
            if (!isStored && !_storedRecords.Contains(seqno) && !_heralds.Contains(seqno) && !isFinished && !isRepeatedHeader)
                Broken ??= $"acked {seqno}, of which nothing is stored";
        }

        _session.ClearAcks();
        if (_session.CoveredBytes != (ulong)_stored.Count(stored => stored))
            Broken ??= $"covers {_session.CoveredBytes} bytes and {_stored.Count(stored => stored)} are stored";
    }

    private void JudgeSummary()
    {
        if (_session.Summary is not { } summary)
            return;

        bool isSound = summary.Header is { IsValid: true };
        int length = isSound ? (int)summary.Header!.DumpLength : Array.LastIndexOf(_stored, true) + 1;
        bool[] expected = new bool[Math.Max(length, DumpBytes)];
        _stored.CopyTo(expected, 0);
        ulong missingBytes = (ulong)expected.AsSpan(0, length).Count(false);
        if (summary.MissingBytes != missingBytes || missingBytes != summary.Missing.Aggregate(0ul, (sum, range) => sum + range.Length))
            Broken ??= $"{summary.MissingBytes} bytes are said to be missing and {missingBytes} are";
        foreach (var range in summary.Missing)
        {
            if (expected.AsSpan((int)range.Start, (int)range.Length).Contains(true))
                Broken ??= $"{range} is said to be missing and is not";
        }

        if (summary.Status == DumpStatus.Complete && (!isSound || missingBytes > 0 || summary.Damaged.Count > 0))
            Broken ??= $"is said to be complete with {missingBytes} bytes missing";
        if (summary.Status == DumpStatus.Headerless && (isSound || missingBytes > 0 || summary.Reason != EndReason.Finished))
            Broken ??= $"is said to be headerless with {missingBytes} bytes missing";
        if (summary.Status == DumpStatus.Damaged && (missingBytes > 0 || summary.Damaged.Count == 0))
            Broken ??= "is said to be damaged only";
    }
}
