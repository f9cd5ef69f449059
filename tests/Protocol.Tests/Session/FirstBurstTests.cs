using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class FirstBurstTests
{
    private const ulong StaleOffset = 48_000_000;
    private static readonly byte[] _page = [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 7 / 3))];

    [Fact]
    public void A_burst_at_a_stale_offset_is_kept()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        Assert.Equal(_page, burst.Bytes.ToArray());
    }

    [Theory]
    [InlineData(2, 1, 0)]
    [InlineData(1, 2, 0)]
    [InlineData(1, 0, 2)]
    public void The_order_of_its_packets_does_not_matter(int first, int second, int third)
    {
        var burst = new FirstBurst();
        Take(burst, first, second, third);
        Assert.Equal(_page, burst.Bytes.ToArray());
    }

    [Fact]
    public void The_packets_of_later_bursts_do_not_belong_to_it()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        burst.OnPacket(StaleOffset + 4096, new byte[1448], inFirstBurst: false);
        burst.OnPacket(4096, new byte[1448], inFirstBurst: false);
        Assert.Equal(_page, burst.Bytes.ToArray());
    }

    [Fact]
    public void A_dump_that_begins_at_offset_0_keeps_nothing_aside()
    {
        var burst = new FirstBurst();
        burst.OnPacket(0, _page.AsSpan(0, 1448), inFirstBurst: true);
        burst.OnPacket(1448, _page.AsSpan(1448, 1448), inFirstBurst: true);
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void Offset_0_that_comes_late_in_the_burst_drops_what_was_kept()
    {
        var burst = new FirstBurst();
        burst.OnPacket(1448, _page.AsSpan(1448, 1448), inFirstBurst: true);
        burst.OnPacket(0, _page.AsSpan(0, 1448), inFirstBurst: true);
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void Offset_0_that_follows_as_the_next_burst_drops_what_was_kept()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        burst.OnPacket(0, _page.AsSpan(0, 1448), inFirstBurst: false);
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void A_burst_with_a_hole_is_of_no_use()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 2);
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void Offsets_near_0_and_near_the_end_of_the_number_range_are_kept_too()
    {
        var low = new FirstBurst();
        low.OnPacket(5, _page.AsSpan(0, 1000), inFirstBurst: true);
        Assert.Equal(_page[..1000], low.Bytes.ToArray());

        var high = new FirstBurst();
        high.OnPacket((1ul << 63) - 1000, _page.AsSpan(0, 1000), inFirstBurst: true);
        Assert.Equal(_page[..1000], high.Bytes.ToArray());
    }

    [Fact]
    public void What_a_burst_cannot_hold_ends_it()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        burst.OnPacket(StaleOffset + WellKnown.BurstBytes, new byte[1448], inFirstBurst: true);
        burst.OnPacket(StaleOffset + 4096, new byte[1448], inFirstBurst: true);
        Assert.Equal(_page, burst.Bytes.ToArray());
    }

    private static void Take(FirstBurst burst, params int[] packets)
    {
        foreach (int packet in packets)
        {
            int at = packet * 1448;
            burst.OnPacket(StaleOffset + (ulong)at, _page.AsSpan(at, Math.Min(1448, _page.Length - at)), inFirstBurst: true);
        }
    }
}
