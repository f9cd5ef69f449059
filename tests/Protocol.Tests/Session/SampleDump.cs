namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>A dump as a kernel cuts and numbers it: herald, header page, bursts of 64 KiB, header, FINISHED.</summary>
internal sealed class SampleDump
{
    private readonly int _payload;
    private readonly uint _heraldSeqno;

    public SampleDump(int bytes = 4096 + 65536 + 20480, int payload = 1448, uint heraldSeqno = 1, uint keyBytes = 0)
    {
        _payload = payload;
        _heraldSeqno = heraldSeqno;
        Content = new byte[bytes];
        new Random(bytes).NextBytes(Content);
        Header = KernelDumpHeader.Create("amd64", (ulong)bytes, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000), keyBytes, 4096, DumpCompression.None,
            "db7", "FreeBSD 14.0", "kdb_sysctl_panic");

        uint seqno = heraldSeqno + 1;
        for (int at = 0; at < bytes;)
        {
            int length = Math.Min(bytes - at, at == 0 ? WellKnown.PageBytes : WellKnown.BurstBytes);
            Bursts.Add([.. Cut(seqno, (ulong)at, Content.AsSpan(at, length))]);
            seqno += (uint)Bursts[^1].Length;
            at += length;
        }

        KdhSeqno = seqno;
    }

    public byte[] Content { get; }

    public byte[] Header { get; }

    public List<ClientMessage[]> Bursts { get; } = [];

    public uint KdhSeqno { get; }

    public ClientMessage Herald => ClientMessage.Herald(seqno: _heraldSeqno);

    public ClientMessage Kdh => ClientMessage.Kdh(KdhSeqno, Header);

    public ClientMessage Finished => ClientMessage.Finished(KdhSeqno + 1);

    /// <summary>Sends everything up to the header's end; nothing is lost.</summary>
    public void SendData(SessionDriver server)
    {
        server.Receive(Herald);
        foreach (var burst in Bursts)
            server.Receive(burst);
        server.TakeAcks();
    }

    public void SendAll(SessionDriver server)
    {
        SendData(server);
        server.Receive(Kdh);
        server.TakeAcks();
        server.Receive(Finished);
    }

    /// <summary>A buffer as one burst.</summary>
    public ClientMessage[] Cut(uint first, ulong offset, ReadOnlySpan<byte> bytes)
    {
        var packets = new List<ClientMessage>();
        for (int at = 0; at < bytes.Length; at += _payload)
            packets.Add(ClientMessage.Vmcore(first + (uint)packets.Count, offset + (ulong)at, bytes.Slice(at, Math.Min(_payload, bytes.Length - at)).ToArray()));
        return [.. packets];
    }
}
