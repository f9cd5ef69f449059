using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The note that another node has ended a shared dump.</summary>
internal sealed class MarkerTarget : FuzzTarget
{
    public override string Name => "marker";

    public override int TestInputs => 50_000;

    // Texts and ranges are copied, and ranges are put together to see that none meet.
    public override long MostAllocatedBytes(int inputBytes) => 8192 + (16 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds()
    {
        var marker = new CommitMarker
        {
            Identity = new("20261121T013940Z-5f3a9c1e", Ipv4.Loopback, DateTimeOffset.UnixEpoch),
            Endpoint = new(Ipv4.Loopback, 20023, 20025, 20024, 1),
            Epoch = 2,
            Names = new() { Host = "h", Index = 0, Core = "vmcore.h.0" },
            IsWhole = true,
            LengthBytes = 4096,
            BaseEpoch = 2,
            Segments = [new(1, "a", [new(0, 100), new(200, 300)]), new(2, "b", [new(100, 200)])],
            Manifest = "{}"u8.ToArray(),
            Info = "Dump complete\n"u8.ToArray(),
            Key = default,
        };
        yield return marker.ToBytes();
        yield return (marker with { Segments = [], BaseEpoch = 0, Key = new byte[16] }).ToBytes();
    }

    public override void Repair(Span<byte> input)
    {
        if (input.Length >= CommitMarker.HeaderBytes)
            CommitMarker.Seal(input);
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        var marker = CommitMarker.Read(input);
        run.Leave();
        run.Saw(0, marker is null ? 0 : 1, FuzzRun.Bucket(input.Length));
        if (marker is null)
            return;

        run.Saw(1, FuzzRun.Bucket(marker.Segments.Count), marker.BaseEpoch == 0 ? 0 : 1, marker.Key.Length == 0 ? 0 : 1);
        Check(CommitMarker.Read(marker.ToBytes()) is not null, "what was read can be written and read again");
        Check(marker.Names.Manifest == Path.GetFileName(marker.Names.Manifest) && marker.Names.Core == Path.GetFileName(marker.Names.Core), "names lead nowhere else");
        Check(marker.Segments.All(segment => segment.Ranges.All(range => range.End <= marker.LengthBytes)), "ranges lie in the dump");
    }
}
