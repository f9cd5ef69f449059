using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Storm;

namespace NetdumpCollector.Protocol.Tests.Storm;

public sealed class StormPolicyTests
{
    private const long MinuteUs = 60_000_000;

    [Fact]
    public void Full_keeps_all_of_every_dump()
    {
        var policy = new StormPolicy(KeepPolicy.Full);
        Assert.False(policy.WantsMessage);
        Assert.All(Enumerable.Range(0, 10), _ => Assert.Null(policy.Decide("same", 0).HeadBytes));
    }

    [Fact]
    public void Head_keeps_the_first_bytes_of_every_dump()
    {
        var policy = new StormPolicy(KeepPolicy.Head(65536));
        Assert.False(policy.WantsMessage);
        Assert.Equal(65536ul, policy.Decide(null, 0).HeadBytes);
        Assert.Equal(65536ul, policy.Decide("same", 0).HeadBytes);
    }

    [Fact]
    public void Auto_keeps_the_first_dumps_of_each_message_whole_and_the_head_of_the_rest()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(2));
        Assert.True(policy.WantsMessage);
        Assert.Equal(new(null, new("page fault at ?", 0)), policy.Decide("page fault at 0x1000", 0));
        Assert.Equal(new(null, new("page fault at ?", 0)), policy.Decide("page fault at 0x2000", 1));
        Assert.Equal(new(KeepPolicy.AutoHeadBytes, null), policy.Decide("page fault at 0x3000", 2));
        Assert.Null(policy.Decide("another", 3).HeadBytes);
    }

    [Fact]
    public void Auto_keeps_dumps_whole_whose_message_cannot_be_read()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(1));
        Assert.All(Enumerable.Range(0, 10), _ => Assert.Equal(KeepDecision.Full, policy.Decide(null, 0)));
    }

    [Fact]
    public void What_breaks_off_leaves_its_place_to_the_next_of_its_hour()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(1));
        var broken = policy.Decide("same", 0);
        Assert.NotNull(policy.Decide("same", 1).HeadBytes);
        policy.GiveBack(broken.Slot!);
        var whole = policy.Decide("same", 2);
        Assert.Null(whole.HeadBytes);
        Assert.NotNull(policy.Decide("same", 3).HeadBytes);

        // Another hour owes nothing to what began in this one.
        Assert.Null(policy.Decide("same", StormPolicy.HourUs).HeadBytes);
        policy.GiveBack(whole.Slot!);
        Assert.NotNull(policy.Decide("same", StormPolicy.HourUs + 1).HeadBytes);
    }

    [Fact]
    public void An_hour_after_its_first_dump_a_message_counts_anew()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(1));
        Assert.Null(policy.Decide("same", 5).HeadBytes);
        Assert.NotNull(policy.Decide("same", 5 + StormPolicy.HourUs - 1).HeadBytes);
        Assert.Null(policy.Decide("same", 5 + StormPolicy.HourUs).HeadBytes);
        Assert.NotNull(policy.Decide("same", 5 + StormPolicy.HourUs).HeadBytes);
    }

    [Fact]
    public void Ever_new_messages_make_room_for_themselves_by_the_oldest()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(1));
        _ = policy.Decide("oldest", 0);
        _ = policy.Decide("second", 1);
        for (int i = 0; i < StormPolicy.MaxMessages - 1; i++)
            _ = policy.Decide("made up " + (char)('a' + i % 26) + new string('x', i), 2);

        Assert.NotNull(policy.Decide("second", 3).HeadBytes);
        Assert.Null(policy.Decide("oldest", 3).HeadBytes);
    }

    [Fact]
    public void No_hour_of_a_message_has_more_whole_dumps_than_allowed() =>
        Prop.ForAll(Gen.Choose(1, 5).Zip(Gen.Choose(0, 3).Zip(Gen.Choose(0, 30)).ListOf()).ToArbitrary(), given =>
        {
            var policy = new StormPolicy(KeepPolicy.Auto(given.Item1));
            var model = new Dictionary<string, (long StartUs, int Full)>();
            long nowUs = 0;
            foreach (var (bug, minutes) in given.Item2)
            {
                nowUs += minutes * MinuteUs;
                string message = string.Create(CultureInfo.InvariantCulture, $"bug {(char)('a' + bug)} on cpu{minutes}");
                string name = message[..5];
                if (!model.TryGetValue(name, out var hour) || nowUs - hour.StartUs >= StormPolicy.HourUs)
                    hour = (nowUs, 0);
                bool isFull = hour.Full < given.Item1;
                Assert.Equal(isFull, policy.Decide(message, nowUs).HeadBytes is null);
                model[name] = (hour.StartUs, hour.Full + (isFull ? 1 : 0));
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Threads_that_decide_at_once_keep_no_more_than_allowed()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(7));
        int full = 0;
        Parallel.For(0, 1000, _ =>
        {
            if (policy.Decide("same", 0).HeadBytes is null)
                Interlocked.Increment(ref full);
        });
        Assert.Equal(7, full);
    }

    [Fact]
    public void A_policys_name_is_how_it_is_set()
    {
        Assert.Equal("full", KeepPolicy.Full.Name);
        Assert.Equal("head:65536", KeepPolicy.Head(65536).Name);
        Assert.Equal("auto:3", KeepPolicy.Auto().Name);
    }

    [Fact]
    public void Whole_dumps_of_other_nodes_count_until_their_hour_is_over()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(3));
        const long Minute = StormPolicy.HourUs / 60;
        policy.HearOf([("page fault", 1, 30 * Minute), ("page fault", 1, 50 * Minute), ("other", 9, 0)], nowUs: 0);

        Assert.Null(policy.Decide("page fault", 1).HeadBytes);
        Assert.NotNull(policy.Decide("page fault", 2).HeadBytes);
        Assert.Null(policy.Decide("page fault", 11 * Minute).HeadBytes);
        Assert.NotNull(policy.Decide("page fault", 12 * Minute).HeadBytes);
        Assert.NotNull(policy.Decide("other", 13 * Minute).HeadBytes);
    }

    [Fact]
    public void What_is_counted_here_is_told_and_changes_are_seen()
    {
        var policy = new StormPolicy(KeepPolicy.Auto(3));
        long before = policy.Changes;
        var slot = policy.Decide("page fault", 1000).Slot!;
        Assert.NotEqual(before, policy.Changes);
        Assert.Equal([("page fault", 1, 500L)], policy.Counts(1500));
        before = policy.Changes;

        policy.GiveBack(slot);

        Assert.NotEqual(before, policy.Changes);
        Assert.Equal([("page fault", 0, 500L)], policy.Counts(1500));
        Assert.Empty(policy.Counts(1000 + StormPolicy.HourUs));
    }
}
