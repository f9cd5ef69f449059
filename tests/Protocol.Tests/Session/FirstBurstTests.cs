using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class FirstBurstTests
{
    private const ulong StaleOffset = 48_000_000;
    private static readonly byte[] s_page = [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 7 / 3))];

    [Fact]
    public void A_burst_at_a_stale_offset_is_kept()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        Assert.Equal(s_page, burst.Bytes.ToArray());
    }

    [Theory]
    [InlineData(2, 1, 0)]
    [InlineData(1, 2, 0)]
    [InlineData(1, 0, 2)]
    public void The_order_of_its_packets_does_not_matter(int first, int second, int third)
    {
        var burst = new FirstBurst();
        Take(burst, first, second, third);
        Assert.Equal(s_page, burst.Bytes.ToArray());
    }

    [Theory]
    [InlineData(StaleOffset + 4096)]
    [InlineData(StaleOffset + 65536)]
    [InlineData(4096ul)]
    public void The_packets_of_later_bursts_do_not_belong_to_it(ulong offset)
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        burst.OnPacket(5, offset, new byte[1448]);
        burst.OnPacket(6, offset + 1448, new byte[1448]);
        Assert.Equal(s_page, burst.Bytes.ToArray());
    }

    [Fact]
    public void A_dump_that_begins_at_offset_0_keeps_nothing_aside()
    {
        var burst = new FirstBurst();
        burst.OnPacket(2, 0, s_page.AsSpan(0, 1448));
        burst.OnPacket(3, 1448, s_page.AsSpan(1448, 1448));
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void Offset_0_that_comes_late_in_the_burst_drops_what_was_kept()
    {
        var burst = new FirstBurst();
        burst.OnPacket(3, 1448, s_page.AsSpan(1448, 1448));
        burst.OnPacket(2, 0, s_page.AsSpan(0, 1448));
        Assert.True(burst.Bytes.IsEmpty);
    }

    [Fact]
    public void Offset_0_that_follows_as_the_next_burst_drops_what_was_kept()
    {
        var burst = new FirstBurst();
        Take(burst, 0, 1, 2);
        burst.OnPacket(5, 0, s_page.AsSpan(0, 1448));
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
    public void A_jumbo_frame_holds_the_whole_header_page()
    {
        var burst = new FirstBurst();
        burst.OnPacket(2, StaleOffset, s_page);
        burst.OnPacket(3, 4096, new byte[8948]);
        Assert.Equal(s_page, burst.Bytes.ToArray());
    }

    [Fact]
    public void Offsets_near_0_and_near_the_end_of_the_number_range_are_kept_too()
    {
        var low = new FirstBurst();
        low.OnPacket(2, 5, s_page.AsSpan(0, 1000));
        Assert.Equal(s_page[..1000], low.Bytes.ToArray());

        var high = new FirstBurst();
        high.OnPacket(2, (1ul << 63) - 1000, s_page.AsSpan(0, 1000));
        Assert.Equal(s_page[..1000], high.Bytes.ToArray());
    }

    [Fact]
    public void Nothing_larger_than_a_burst_is_kept()
    {
        var burst = new FirstBurst();
        for (uint i = 0; i < 100; i++)
            burst.OnPacket(2 + i, StaleOffset + i * 1448, new byte[1448]);
        Assert.InRange(burst.Bytes.Length, 1448, WellKnown.BurstBytes);
    }

    private static void Take(FirstBurst burst, params int[] packets)
    {
        foreach (int packet in packets)
        {
            int at = packet * 1448;
            burst.OnPacket(2 + (uint)packet, StaleOffset + (ulong)at, s_page.AsSpan(at, Math.Min(1448, s_page.Length - at)));
        }
    }
}
