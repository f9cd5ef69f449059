using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>A crash of a node in mid-step.</summary>
internal sealed class NodeCrash : Exception;

/// <summary>A node of a shared directory: takes what its client sends, as the collector does with takeover on.</summary>
internal sealed class SharedNode : IDisposable
{
    public static readonly Ipv4 Local = new(0x0a000001);
    public const ushort RemotePort = 20025;

    private static readonly DumpEndpoint s_endpoint = new(Local, 20023, RemotePort, 20024, HeraldSeqno: 1);

    private DumpSession? _session;
    private bool _isWhole;

    public SharedNode(string path, string name)
    {
        Directory = DumpDirectory.Open(path, null);
        Directory.Sharing = new(name) { LookInterval = TimeSpan.Zero };
    }

    public DumpDirectory Directory { get; }

    public DumpFile? File { get; private set; }

    public List<string> Problems { get; } = [];

    /// <summary>Called before what follows each step.</summary>
    public Action<SharedStep>? OnStep
    {
        set => Directory.Running().OnStep = value;
    }

    /// <summary>The herald came here.</summary>
    public SharedNode Begin()
    {
        File = Directory.Create(Dumps.NewIdentity(), s_endpoint, null);
        _session = new(new(), 1, 0);
        return this;
    }

    /// <summary>Looks for the dump, as for packets of an unknown flow.</summary>
    public bool TakeOver()
    {
        foreach (var dump in Directory.TakeOverFlow(Local, Dumps.Client, RemotePort, Problems.Add))
        {
            Assert.Null(File);
            File = dump.File;
            _session = dump.Saved is null ? null : DumpSession.Restore(new(), dump.Saved, nowUs: 0);
            _isWhole = dump.IsWhole;
        }

        return File is not null;
    }

    /// <summary>All of the burst is acked.</summary>
    public bool Receive(uint seqno, (MessageType Type, ulong Offset, byte[] Payload)[] burst)
    {
        if (File is null && !TakeOver())
            return false;
        if (_session is null)
            return _isWhole && burst[0].Type == MessageType.Finished;
        if (_session.Phase == SessionPhase.Ending)
            return Commit(_session.Summary!);
        if (File!.IsSuperseded())
            return LetGo();

        for (int i = 0; i < burst.Length; i++)
            _ = _session.OnMessage(new(burst[i].Type, seqno + (uint)i, burst[i].Offset, (uint)burst[i].Payload.Length), burst[i].Payload, i, nowUs: 0);
        foreach (var write in _session.Writes)
            Dumps.Write(File, write.Offset, burst[write.Tag].Payload);
        foreach (var record in _session.Records)
            Assert.True(File.AppendKdh(burst[record.Tag].Payload, out _));
        foreach (var compare in _session.Compares)
            Assert.True(File.Matches(compare.Offset, burst[compare.Tag].Payload), "what was acked is read back, whoever stored it");
        _session.OnStored(nowUs: 0);
        if (_session.Summary is { } summary)
            return Commit(summary);
        if (_session.MustSave && (!File.TrySyncData(out string? error) || !TrySave(out error) || !File.TrySyncLedger(out error)))
            Assert.Fail(error);
        bool isAcked = _session.Acks.Length == burst.Length;
        _session.ClearAcks();
        return File.IsSuperseded() ? LetGo() : isAcked;
    }

    /// <summary>The client is gone; what came of it is committed.</summary>
    public CommittedDump CommitAbandoned(InterruptedDump dump)
    {
        var session = DumpSession.Restore(new(), dump.Saved!, nowUs: 0);
        session.End(EndReason.ClientTimedOut);
        var committed = Directory.Commit(dump.File, session.Summary!, Dumps.Circumstances("web"));
        dump.File.CloseData();
        dump.File.RemoveLedger();
        return committed;
    }

    /// <summary>The commit failed before; the promise was given.</summary>
    public bool CommitAgain() => Commit(_session!.Summary!);

    /// <summary>As <see cref="CommitAgain"/>; whether another node sees to what follows.</summary>
    public bool CommitElsewhere() => Directory.Commit(File!, _session!.Summary!, Dumps.Circumstances("web")).IsElsewhere;

    /// <summary>The client has been answered for long enough.</summary>
    public void Linger()
    {
        if (File is not null)
            File.RemoveLedger();
        File = null;
    }

    /// <summary>Nothing of the dump was acked, and it turned out to be none.</summary>
    public void Discard()
    {
        File?.Discard();
        File = null;
    }

    /// <summary>Does what runs into the crash; what it had open is closed, and nothing else happens.</summary>
    public void Crash(SharedStep? at, int step, Action run, out bool hasCrashed)
    {
        int steps = 0;
        bool isDead = false;
        OnStep = reached =>
        {
            isDead |= at is null ? steps++ == step : reached == at;
            // For good: what looks at several dumps goes on with the others.
            if (isDead)
                throw new NodeCrash();
        };
        try
        {
            run();
        }
        catch (NodeCrash)
        {
            // As it is meant to be.
        }

        hasCrashed = isDead;
        if (hasCrashed)
        {
            File?.Dispose();
            File = null;
            _session = null;
        }

        OnStep = null;
    }

    public void Dispose()
    {
        File?.Dispose();
        Directory.Dispose();
    }

    /// <summary>FINISHED is acked.</summary>
    private bool Commit(DumpSummary summary)
    {
        bool isPromised = false;
        try
        {
            _ = Directory.Commit(File!, summary, Dumps.Circumstances("web"), () => isPromised = true);
            File!.CloseData();
            (_session, _isWhole) = (null, true);
            return true;
        }
        catch (SupersededException)
        {
            return LetGo();
        }
        catch (StorageException e)
        {
            Problems.Add(e.Message);
            return isPromised;
        }
    }

    private bool LetGo()
    {
        File!.Dispose();
        File = null;
        _session = null;
        return false;
    }

    private bool TrySave(out string? error)
    {
        byte[] state = new byte[DumpSession.StateBytes];
        _session!.Save(state);
        bool saved = File!.AppendRanges(LedgerRecordType.Stored, _session.UnsavedRanges, out error)
            && File.AppendRanges(LedgerRecordType.Damaged, _session.UnsavedDamage, out error)
            && File.AppendRanges(LedgerRecordType.Overwritten, _session.UnsavedOverwrites, out error)
            && File.WriteState(state, out error);
        if (saved)
            _session.OnSaved(state);
        return saved;
    }
}
