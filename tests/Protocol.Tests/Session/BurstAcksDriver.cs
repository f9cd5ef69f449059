using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>Feeds a <see cref="BurstAcks"/> as a session does: judge each packet of a batch, store what is new, look at what was released.</summary>
internal sealed class BurstAcksDriver(uint first, bool packetByPacket = false, SessionOptions? options = null)
{
    /// <summary>Acks that were sent may be sent once more; where a test is about the first time, that is put off.</summary>
    private static readonly SessionOptions s_withoutReacks = new() { ReackUs = 3_600_000_000 };

    private readonly AckList _acks = new();
    private readonly List<uint> _pending = [];

    public BurstAcks Bursts { get; } = new(options ?? s_withoutReacks, first, packetByPacket);

    public SessionOptions Options { get; } = options ?? s_withoutReacks;

    public long NowUs { get; private set; } = 1_000_000;

    public HashSet<uint> Stored { get; } = [];

    /// <summary>What was released since the last call, in ascending order of age.</summary>
    public uint[] TakeAcks()
    {
        uint[] acks = _acks.Seqnos.ToArray();
        _acks.Clear();
        return acks;
    }

    public Arrival Arrive(BurstPacket packet)
    {
        var arrival = Bursts.OnArrival(packet.Seqno, packet.Offset, packet.Length, NowUs);
        if (arrival is Arrival.New or Arrival.NewToAck)
            _pending.Add(packet.Seqno);
        return arrival;
    }

    /// <summary>The bytes of all packets that arrived are in the file.</summary>
    public void StorePending() => StoreFirstPending(_pending.Count);

    /// <summary>None of the bytes that arrived could be written.</summary>
    public void DropPending() => StoreFirstPending(0);

    /// <summary>The bytes of so many packets are in the file, those of the others could not be written.</summary>
    public void StoreFirstPending(int count)
    {
        foreach (uint seqno in _pending.Take(count))
        {
            Stored.Add(seqno);
            Bursts.OnStored(seqno, _acks);
        }

        foreach (uint seqno in _pending.Skip(count))
            Bursts.OnDropped(seqno);
        _pending.Clear();
        Bursts.OnBatchEnd(_acks);
    }

    /// <summary>Packets of a burst arrive as one batch and are stored.</summary>
    public void Receive(Burst burst, IEnumerable<int> indices)
    {
        foreach (int index in indices)
            Arrive(burst[index]);
        StorePending();
    }

    public void Receive(Burst burst) => Receive(burst, burst.All);

    public void ReceiveAllBut(Burst burst, params int[] lost) => Receive(burst, burst.All.Except(lost));

    /// <summary>Time passes and every tick that is due happens when it is due.</summary>
    public void Wait(long us)
    {
        long untilUs = NowUs + us;
        while (Bursts.WakeUs <= untilUs)
        {
            NowUs = Math.Max(NowUs, Bursts.WakeUs);
            Bursts.OnTick(NowUs, _acks);
            Assert.True(Bursts.WakeUs > NowUs, "a tick leaves nothing undone that is due");
        }

        NowUs = untilUs;
    }

    public void WaitUntilQuiet() => Wait(Options.QuietPeriodUs);

    /// <summary>To the kernel's next retransmission.</summary>
    public void WaitForRound() => Wait(1_000_000);

    /// <summary>The acks released by what just happened are exactly these, in any order, each once.</summary>
    public void AssertAcks(IEnumerable<uint> expected) => Assert.Equal(expected.Order(), TakeAcks().Order());

    public void AssertNoAcks() => AssertAcks([]);
}
