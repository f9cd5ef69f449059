namespace NetdumpCollector.Protocol.Client;

/// <summary>What a <see cref="KernelClient"/> counted.</summary>
public record struct KernelClientCounters
{
    /// <summary>Packets handed to the NIC, repeated ones included.</summary>
    public long Packets { get; set; }

    /// <summary>Payload bytes of these packets.</summary>
    public long PayloadBytes { get; set; }

    /// <summary>Packets handed to the NIC again because they looked unacked.</summary>
    public long RetransmittedPackets { get; set; }

    /// <summary>Rounds of retransmission.</summary>
    public long RetransmitRounds { get; set; }

    /// <summary>Most rounds that one burst needed.</summary>
    public int WorstBurstRounds { get; set; }

    /// <summary>From the herald's first packet to the moment the client knows of its ack, in microseconds.</summary>
    public long HeraldUs { get; set; }

    /// <summary>Most that a burst of the dump took until the client knew that it was acked, in microseconds.</summary>
    public long LongestBurstUs { get; set; }

    /// <summary>The same for FINISHED, which is acked when the dump is durable.</summary>
    public long FinishedUs { get; set; }

    /// <summary>Bursts begun, herald and headers included.</summary>
    public long Bursts { get; set; }

    /// <summary>Acks seen, useful or not.</summary>
    public long Acks { get; set; }

    /// <summary>Acks below the running burst, which the kernel ignores silently.</summary>
    public long LateAcks { get; set; }

    /// <summary>Acks <see cref="WellKnown.AckWindow"/> or more above the running burst's first seqno: ignored, with a line on the console.</summary>
    public long FarAcks { get; set; }

    /// <summary>Packets that were still queued in the NIC when their buffer was reused: they leave with a wrong checksum and reach nobody (kernel bug 2).</summary>
    public long CorruptedInQueue { get; set; }
}
