namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>Of some dumps only the first bytes are stored.</summary>
public sealed partial class DumpSessionTests
{
    private const ulong Gigabyte = 1ul << 30;

    /// <summary>Kernel bug 3: the first burst comes at a stale offset, and the message is known when it was stored there.</summary>
    [Fact]
    public void A_first_burst_far_away_does_not_lengthen_the_head()
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Cut(2, Gigabyte, dump.Content.AsSpan(0, 4096)));
        server.Receive(dump.Bursts[1]);
        server.Session.Keep(8192, "auto:1");
        server.Receive(dump.Bursts[2]);
        server.Receive(dump.Bursts[3]);
        Assert.Equal(0xee, server.Bytes(4096 + 2 * 65536, 1)[0]);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        const ulong Kept = 4096 + 65536;
        Assert.Equal((DumpStatus.Truncated, "auto:1"), (server.Summary.Status, server.Summary.TruncatedBy));
        Assert.Equal((Kept, Kept, Kept), (server.Summary.KeptBytes, server.Summary.LengthBytes, server.Summary.CoveredBytes));
        Assert.Equal([new(Kept, (ulong)dump.Content.Length)], server.Summary.Missing);
        Assert.Equal(dump.Content[..(int)Kept], server.Bytes(0, (int)Kept));
    }

    [Fact]
    public void A_dump_that_breaks_off_ends_where_the_policy_says()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Session.Keep(8192, "head:8192");
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Cut(dump.Bursts[1][0].Header.Seqno, Gigabyte, new byte[65536]));
        Assert.Equal(0xee, server.Bytes(Gigabyte, 1)[0]);
        server.Session.End(EndReason.ClientTimedOut);

        Assert.Equal((8192ul, 4096ul, "head:8192"), (server.Summary.KeptBytes, server.Summary.CoveredBytes, server.Summary.TruncatedBy));
    }

    [Fact]
    public void A_hole_in_the_head_is_still_filled_after_the_decision()
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Bursts[1].Where((_, i) => i != 7));
        server.Session.Keep(65536, "auto:1");
        server.Receive(dump.Bursts[1][7]);
        foreach (var burst in dump.Bursts.Skip(2))
            server.Receive(burst);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        int kept = (int)server.Summary.KeptBytes;
        Assert.Equal((DumpStatus.Truncated, 65536), (server.Summary.Status, kept));
        Assert.Equal(dump.Content[..kept], server.Bytes(0, kept));
    }

    [Fact]
    public void What_came_without_a_hole_before_the_decision_stays()
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Bursts[1]);
        server.Session.Keep(8192, "auto:1");
        Assert.Equal(ulong.MaxValue, server.Session.KeptBytes);
        server.Receive(dump.Bursts[2]);
        Assert.Equal(4096ul + 65536, server.Session.KeptBytes);
        server.Receive(dump.Bursts[3]);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        Assert.Equal((DumpStatus.Truncated, 4096ul + 65536), (server.Summary.Status, server.Summary.LengthBytes));
        Assert.Equal(dump.Content[..(4096 + 65536)], server.Bytes(0, 4096 + 65536));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_first_burst_at_a_stale_offset_is_in_the_head(bool isKilled)
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Session.Keep(65536, "head:65536");
        server.Receive(dump.Cut(2, Gigabyte, dump.Content.AsSpan(0, 4096)));
        server.AssertAcks([1, .. dump.Bursts[0].Select(packet => packet.Header.Seqno)]);
        if (isKilled)
            server.Restart();
        foreach (var burst in dump.Bursts.Skip(1))
            server.Receive(burst);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        Assert.True(server.Summary.Relocated);
        Assert.Equal((DumpStatus.Truncated, 65536ul, 65536ul), (server.Summary.Status, server.Summary.KeptBytes, server.Summary.LengthBytes));
        Assert.Equal(dump.Content[..65536], server.Bytes(0, 65536));
    }

    /// <summary>A kill between the ranges of a save and its state leaves a ledger that must not claim what the policy let go.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bytes_that_were_let_go_are_never_taken_for_stored_by_another_process(bool isDecidedLate)
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        if (!isDecidedLate)
            server.Session.Keep(8192, "head:8192");
        if (isDecidedLate)
        {
            server.Receive(dump.Bursts[0]);
            server.Session.Keep(8192, "auto:1");
        }

        server.SavesRangesOnly = true;
        foreach (var packet in dump.Bursts[1].Skip(1))
            server.Receive(packet);
        server.Receive(dump.Bursts[isDecidedLate ? 1 : 0]);
        foreach (var packet in dump.Bursts[2].Skip(1))
            server.Receive(packet);
        server.Wait(100_000);
        server.Restart();

        Assert.Equal(isDecidedLate ? 4096ul : 0, server.Session.ContiguousBytes);
        foreach (var range in server.Session.CoveredRanges)
        {
            int start = (int)range.Start, end = (int)Math.Min(range.End, server.Session.KeptBytes);
            Assert.Equal(dump.Content[start..Math.Max(start, end)], server.Bytes(range.Start, Math.Max(0, end - start)));
        }
    }

    [Fact]
    public void A_saved_decision_and_what_it_let_go_outlive_the_process()
    {
        var dump = new SampleDump(4096 + 3 * 65536);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Session.Keep(8192, "head:8192");
        foreach (var burst in dump.Bursts)
        {
            server.Receive(burst);
            server.Restart();
        }

        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);
        Assert.Equal((DumpStatus.Truncated, 8192ul, "head:8192"), (server.Summary.Status, server.Summary.LengthBytes, server.Summary.TruncatedBy));
        Assert.Equal(4096ul + 3 * 65536 - 8192, server.Summary.MissingBytes);
        Assert.Equal(dump.Content[..8192], server.Bytes(0, 8192));
        Assert.Equal(0xee, server.Bytes(65536, 1)[0]);
    }
}
