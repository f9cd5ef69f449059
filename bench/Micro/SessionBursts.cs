using BenchmarkDotNet.Attributes;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Micro;

/// <summary>The session's logic for one burst of 64 KiB: each packet taken, all stored, their acks released.</summary>
public class SessionBursts
{
    private DumpSession _session = new(new(), heraldSeqno: 1, nowUs: 0);
    private byte[] _payload = [];
    private uint _seqno;
    private ulong _offset;
    private long _nowUs;

    /// <summary>Bytes of a packet: 126, 46 or 8 packets a burst.</summary>
    [Params(524, 1448, 8948)]
    public int PayloadBytes { get; set; }

    [GlobalSetup]
    public void Begin()
    {
        _session = new(new(), heraldSeqno: 1, nowUs: 0);
        _payload = new byte[PayloadBytes];
        (_seqno, _offset, _nowUs) = (2, 0, 0);
    }

    [Benchmark]
    public int TakeBurst()
    {
        int tag = 0;
        for (int left = WellKnown.BurstBytes; left > 0; left -= PayloadBytes)
        {
            var payload = _payload.AsSpan(0, Math.Min(left, PayloadBytes));
            _session.OnMessage(new(MessageType.Vmcore, _seqno++, _offset, (uint)payload.Length), payload, tag++, _nowUs);
            _offset += (ulong)payload.Length;
        }

        _session.OnStored(_nowUs);
        int acks = _session.Acks.Length;
        _session.ClearAcks();
        if (_session.WakeUs <= _nowUs)
            _session.OnTick(_nowUs);
        _nowUs += 1000;
        return acks;
    }
}
