namespace NetdumpCollector.Storage.Tests.Takeover;

public sealed class CommitMarkerTests
{
    private static readonly CommitMarker s_marker = new()
    {
        Identity = Dumps.NewIdentity(),
        Endpoint = new(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1),
        Epoch = 3,
        Names = new() { Host = "web", Index = 7, Core = "vmcore_encrypted.web.7.zst" },
        IsWhole = true,
        LengthBytes = 300,
        BaseEpoch = 3,
        Segments = [new(1, "a", [new(0, 100), new(150, 200)]), new(3, "ü", [new(100, 150)])],
        Manifest = "{}"u8.ToArray(),
        Info = "Dump complete\n"u8.ToArray(),
        Key = new byte[] { 1, 2, 3 },
    };

    [Fact]
    public void Reads_back_what_was_written()
    {
        byte[] bytes = s_marker.ToBytes();

        var read = CommitMarker.Read(bytes)!;

        Assert.Equal(bytes, read.ToBytes());
        Assert.Equal((s_marker.Identity, s_marker.Endpoint, 3, true, 300ul, 3), (read.Identity, read.Endpoint, read.Epoch, read.IsWhole, read.LengthBytes, read.BaseEpoch));
        Assert.Equal(s_marker.Names, read.Names);
        Assert.Equal(["a", "ü"], read.Segments.Select(segment => segment.Node));
    }

    [Fact]
    public void What_is_not_whole_is_no_marker_but_looks_like_one()
    {
        byte[] bytes = s_marker.ToBytes();
        for (int length = 0; length < bytes.Length; length++)
            Assert.Null(CommitMarker.Read(bytes.AsSpan(0, length)));
        for (int at = 0; at < bytes.Length; at++)
        {
            byte[] flipped = [.. bytes];
            flipped[at] ^= 1;
            Assert.Null(CommitMarker.Read(flipped));
            Assert.Equal(at >= 12, CommitMarker.IsMarker(flipped));
        }

        Assert.Null(CommitMarker.Read([.. bytes, 0]));
    }

    public static TheoryData<string> Wrong() => ["epoch", "length", "host", "core", "id", "base", "overlap", "beyond", "order", "future"];

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_no_program_of_ours_writes_is_no_marker(string what)
    {
        var wrong = what switch
        {
            "epoch" => s_marker with { Epoch = 0 },
            "length" => s_marker with { LengthBytes = ulong.MaxValue },
            "host" => s_marker with { Names = s_marker.Names with { Host = "../web" } },
            "core" => s_marker with { Names = s_marker.Names with { Core = "../../vmcore.web.7" } },
            "id" => s_marker with { Identity = s_marker.Identity with { Id = "a/b" } },
            "base" => s_marker with { BaseEpoch = 1 },
            "overlap" => s_marker with { Segments = [new(1, "a", [new(0, 100)]), new(2, "b", [new(99, 101)])] },
            "beyond" => s_marker with { Segments = [new(1, "a", [new(0, 301)])] },
            "order" => s_marker with { Segments = [new(1, "a", [new(50, 60), new(0, 10)])] },
            _ => s_marker with { Segments = [new(4, "a", [new(0, 10)])] },
        };

        Assert.Null(CommitMarker.Read(wrong.ToBytes()));
    }

    [Theory]
    [InlineData("partial.10.0.2.7.20261121T013940Z-5f3a9c1e", false)]
    [InlineData("partial.10.0.2.7.20261121T013940Z-5f3a9c1e.ledger", false)]
    [InlineData("partial.10.0.2.7.20261121T013940Z-5f3a9c1e.e2", true)]
    [InlineData("partial.10.0.2.7.20261121T013940Z-5f3a9c1e.e12.ledger", true)]
    [InlineData("partial.10.0.2.7.20261121T013940Z-5f3a9c1e.ex", false)]
    [InlineData("vmcore.h.e2", false)]
    public void Later_owners_files_are_known_by_their_names(string name, bool isLater) => Assert.Equal(isLater, SegmentName.IsOfLaterOwner(name));
}
