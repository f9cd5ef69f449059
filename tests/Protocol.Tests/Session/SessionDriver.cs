using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>The shell around a <see cref="DumpSession"/>: carries out its intents on a file in memory and collects what it acks.</summary>
internal sealed class SessionDriver
{
    private readonly Dictionary<ulong, byte> _file = [];
    private readonly SavedParts _saved = new();
    private readonly uint _heraldSeqno;
    private ulong _fileLength;

    public SessionDriver(SessionOptions? options = null, uint heraldSeqno = 1)
    {
        Options = options ?? new();
        _heraldSeqno = heraldSeqno;
        Session = new(Options, heraldSeqno, NowUs);
    }

    public SessionOptions Options { get; }

    public DumpSession Session { get; private set; }

    public long NowUs { get; private set; } = 5_000_000;

    /// <summary>Acks since the last look.</summary>
    public List<uint> Acks { get; } = [];

    public DumpSummary Summary => Session.Summary!;

    /// <summary>One batch arrives and is stored.</summary>
    /// <returns>Why each message was refused, or null.</returns>
    public RejectReason?[] Receive(params IEnumerable<ClientMessage> batch) => Receive(batch, writesDone: int.MaxValue, recordsDone: int.MaxValue);

    /// <summary>One batch arrives; the file takes only so many of its writes and records.</summary>
    public RejectReason?[] ReceiveWhileDiskIsFull(IEnumerable<ClientMessage> batch, int writesDone = 0, int recordsDone = 0) => Receive(batch, writesDone, recordsDone);

    /// <summary>The process can save nothing any more, or is killed where it has saved some of it.</summary>
    public bool SavesRangesOnly { set => _saved.SavesRangesOnly = value; }

    /// <summary>The process is killed and another one continues with what was saved; the file is as it was.</summary>
    public void Restart() => Session = DumpSession.Restore(Options, _saved.Found(_heraldSeqno, _fileLength, range => Bytes(range.Start, (int)range.Length)), NowUs);

    /// <summary>Time passes and every tick that is due happens when it is due.</summary>
    public void Wait(long us)
    {
        long untilUs = NowUs + us;
        while (Session.WakeUs <= untilUs)
        {
            NowUs = Math.Max(NowUs, Session.WakeUs);
            Session.OnTick(NowUs);
            CollectAcks();
            Assert.True(Session.WakeUs > NowUs, "a tick leaves nothing undone that is due");
        }

        NowUs = untilUs;
    }

    public void Commit()
    {
        Assert.Equal(SessionPhase.Ending, Session.Phase);
        Session.OnCommitted(NowUs);
        CollectAcks();
    }

    public void FailCommit()
    {
        Session.OnCommitFailed(NowUs);
        CollectAcks();
    }

    public uint[] TakeAcks()
    {
        uint[] acks = [.. Acks];
        Acks.Clear();
        return acks;
    }

    public void AssertAcks(params IEnumerable<uint> expected) => Assert.Equal(expected.Order(), TakeAcks().Order());

    public void AssertNoAcks() => Assert.Empty(TakeAcks());

    /// <summary>What the file holds; a byte never written reads as 0xee.</summary>
    public byte[] Bytes(ulong offset, int length) => [.. Enumerable.Range(0, length).Select(i => _file.GetValueOrDefault(offset + (ulong)i, (byte)0xee))];

    private RejectReason?[] Receive(IEnumerable<ClientMessage> batch, int writesDone, int recordsDone)
    {
        ClientMessage[] messages = [.. batch];
        RejectReason?[] rejected = [.. messages.Select((message, tag) => Session.OnMessage(message.Header, message.Payload, tag, NowUs))];
        writesDone = Math.Min(writesDone, Session.Writes.Length);
        recordsDone = Math.Min(recordsDone, Session.Records.Length);
        _saved.SaveBeforeWrites(Session, _fileLength);
        for (int i = 0; i < writesDone; i++)
        {
            var write = Session.Writes[i];
            var bytes = BytesOf(write, messages);
            int stored = Session.StoredBytesOf(write);
            for (int at = 0; at < stored; at++)
                _file[write.Offset + (ulong)at] = bytes[at];
            if (stored > 0)
                _fileLength = Math.Max(_fileLength, write.Offset + (ulong)stored);
        }

        for (int i = 0; i < recordsDone; i++)
            _saved.Record(Session.Records[i], messages[Session.Records[i].Tag].Payload);

        if (writesDone < Session.Writes.Length || recordsDone < Session.Records.Length)
        {
            Session.OnStoreFailed(writesDone, recordsDone, "No space left on device", NowUs);
        }
        else
        {
            for (int i = 0; i < Session.Compares.Length; i++)
            {
                var compare = Session.Compares[i];
                if (!BytesOf(compare, messages).SequenceEqual(Bytes(compare.Offset, compare.Length)))
                    Session.OnMismatch(i);
            }

            Session.OnStored(NowUs);
        }

        CollectAcks();
        return rejected;
    }

    private ReadOnlySpan<byte> BytesOf(in StoreIntent intent, ClientMessage[] messages)
    {
        var bytes = intent.Tag == StoreIntent.OwnBytes ? Session.RelocatedBytes : messages[intent.Tag].Payload;
        Assert.Equal(intent.Length, bytes.Length);
        return bytes;
    }

    private void CollectAcks()
    {
        _saved.Save(Session, _fileLength);
        Acks.AddRange(Session.Acks);
        Session.ClearAcks();
    }
}
