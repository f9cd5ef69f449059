using System.Globalization;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Send;

/// <summary>What came of a <c>send</c>; its JSON is a published format.</summary>
internal sealed record SendSummary
{
    public required string Server { get; init; }
    public required int Clients { get; init; }

    /// <summary>Clients that had everything acked.</summary>
    public required int Done { get; init; }
    public required int Failed { get; init; }
    public required IReadOnlyList<SendFailure> Failures { get; init; }

    /// <summary>Dump bytes acked, of all clients.</summary>
    public required long Bytes { get; init; }
    public required double Seconds { get; init; }

    /// <summary>10^6 bytes per second, all clients together.</summary>
    public required double MegabytesPerSecond { get; init; }
    public required long Packets { get; init; }
    public required long RetransmittedPackets { get; init; }
    public required long RetransmitRounds { get; init; }

    /// <summary>Most rounds that one burst needed; a kernel gives up after 11.</summary>
    public required int WorstBurstRounds { get; init; }
    public required long Acks { get; init; }

    /// <summary>Longest time until a herald was answered, of all clients that got an answer.</summary>
    public required double HeraldSeconds { get; init; }

    /// <summary>Longest time until a burst of a dump was acked; a kernel gives up after 12.</summary>
    public required double LongestBurstSeconds { get; init; }

    /// <summary>Longest time until FINISHED was acked, which is when the dump is durable.</summary>
    public required double FinishedSeconds { get; init; }

    public void Write(TextWriter output)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Clients} {(Clients == 1 ? "client" : "clients")} to {Server}: {Done} done, {Failed} failed"));
        foreach (var failure in Failures)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {failure.Clients} failed in {failure.Phase}: {failure.Reason}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{ByteSize.Format(Bytes)} ({Bytes} bytes) in {Seconds:F2} s, {MegabytesPerSecond:F1} MB/s"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Packets} packets, {RetransmittedPackets} of them sent again in {RetransmitRounds} rounds (at most {WorstBurstRounds} for one burst), {Acks} acks"));
    }
}

/// <summary>Clients that failed for the same reason.</summary>
/// <param name="Phase">What they were sending: herald, key, vmcore, kdh or finished.</param>
/// <param name="Clients">How many.</param>
/// <param name="Reason">In words.</param>
internal sealed record SendFailure(string Phase, int Clients, string Reason);
