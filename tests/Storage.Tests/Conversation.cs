using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Tests;

/// <summary>A client's packets on their way into a running dump, saved as the collector saves them.</summary>
internal sealed class Conversation(DumpFile file, DumpSession session, bool savesAlways = false)
{
    /// <summary>So large that each packet is acked when it is stored.</summary>
    private const int PayloadBytes = 2048;

    private uint _seqno = 2;

    public DumpSession Session { get; } = session;

    /// <summary>A burst of one page, whose packets follow each other; all of it is acked.</summary>
    public void SendPage(ulong offset) => Send(offset, Page(offset));

    private void Send(ulong offset, byte[] page)
    {
        var batch = new (MessageType, ulong, byte[])[WellKnown.PageBytes / PayloadBytes];
        for (int i = 0; i < batch.Length; i++)
            batch[i] = (MessageType.Vmcore, offset + (ulong)(i * PayloadBytes), page[(i * PayloadBytes)..((i + 1) * PayloadBytes)]);
        Receive(batch);
    }

    private ulong ToldLength => savesAlways || !file.HasAllBytes ? 0 : file.LengthBytes;

    /// <summary>As <see cref="SendPage"/>, where another conversation was at that seqno.</summary>
    public void SendPageAt(uint seqno, ulong offset)
    {
        _seqno = seqno;
        SendPage(offset);
    }

    /// <summary>As <see cref="SendPageAt"/>, a page of zeros.</summary>
    public void SendZerosAt(uint seqno, ulong offset)
    {
        _seqno = seqno;
        Send(offset, new byte[WellKnown.PageBytes]);
    }

    /// <summary>What the dump has at <paramref name="offset"/>.</summary>
    public static byte[] Page(ulong offset) => [.. Dumps.Pattern(WellKnown.PageBytes).Select(b => (byte)(b ^ (byte)(offset >> 12)))];

    public void SendHeader(ulong length) =>
        Receive((MessageType.Kdh, 0, KernelDumpHeader.Create("amd64", length, Dumps.StartedAt, 0, 512, DumpCompression.None, "web", "FreeBSD", "panic")));

    public void SendKey(byte[] key) => Receive((MessageType.EkcdKey, 0, key));

    /// <summary>The dump ends as it is.</summary>
    public DumpSummary End(EndReason reason)
    {
        Session.End(reason);
        return Session.Summary!;
    }

    public DumpSummary Finish()
    {
        Receive((MessageType.Finished, 0, []));
        return Session.Summary!;
    }

    private void Receive(params (MessageType Type, ulong Offset, byte[] Payload)[] batch)
    {
        for (int i = 0; i < batch.Length; i++)
            Assert.Null(Session.OnMessage(new(batch[i].Type, _seqno++, batch[i].Offset, (uint)batch[i].Payload.Length), batch[i].Payload, i, nowUs: 0));
        if (Session.WritesApart(file.LengthBytes))
        {
            byte[] state = new byte[DumpSession.StateBytes];
            Session.SaveWithoutLength(state, file.LengthBytes);
            Assert.True(file.WriteState(state, out _));
            Session.OnSavedWithoutLength();
        }

        foreach (var write in Session.Writes)
        {
            if (Session.StoredBytesOf(write) is > 0 and var stored)
                Dumps.Write(file, write.Offset, batch[write.Tag].Payload.AsSpan(0, stored));
        }

        foreach (var record in Session.Records)
        {
            Assert.True(record.Kind == IntentKind.Kdh
                ? file.AppendKdh(batch[record.Tag].Payload, out _)
                : file.AppendKey(record.Offset, batch[record.Tag].Payload, out _));
        }

        Session.OnStored(nowUs: 0);
        if (Session.MustSave && !Session.TryLeaveToLength(ToldLength))
            Save();
        Session.ClearAcks();
    }

    private void Save()
    {
        byte[] state = new byte[DumpSession.StateBytes];
        Session.Save(state, ToldLength);
        Assert.True(file.AppendRanges(LedgerRecordType.Stored, Session.UnsavedRanges, out _));
        Assert.True(file.AppendRanges(LedgerRecordType.Damaged, Session.UnsavedDamage, out _));
        Assert.True(file.AppendRanges(LedgerRecordType.Overwritten, Session.UnsavedOverwrites, out _));
        Assert.True(file.WriteState(state, out _));
        Session.OnSaved(state);
    }
}
