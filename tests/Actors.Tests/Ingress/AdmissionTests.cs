using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Ingress;

public sealed class AdmissionTests
{
    private const long SecondUs = 1_000_000;
    private const long MinuteUs = 60 * SecondUs;
    private const ulong Seed = 99;

    private static readonly Ipv4 s_host = new(0x0a010203);

    [Theory]
    [InlineData("", "", "10.1.2.3", true)]
    [InlineData("10.0.0.0/8", "", "10.1.2.3", true)]
    [InlineData("10.0.0.0/8", "", "11.1.2.3", false)]
    [InlineData("10.0.0.0/8,11.0.0.0/8", "", "11.1.2.3", true)]
    [InlineData("", "10.1.0.0/16", "10.1.2.3", false)]
    [InlineData("", "10.1.0.0/16", "10.2.2.3", true)]
    [InlineData("10.0.0.0/8", "10.1.2.3", "10.1.2.3", false)]
    [InlineData("10.0.0.0/8", "10.1.2.3", "10.1.2.4", true)]
    [InlineData("10.1.2.3", "10.0.0.0/8", "10.1.2.3", false)]
    [InlineData("", "0.0.0.0/0", "10.1.2.3", false)]
    public void Deny_wins_over_allow_and_with_neither_everybody_is_served(string allow, string deny, string source, bool served)
    {
        var admission = new Admission(new() { Allowed = Networks(allow), Denied = Networks(deny) }, Seed);
        Assert.True(Ipv4.TryParse(source, out var address));

        Assert.Equal(served, admission.Allows(address));
        Assert.Equal(served ? null : RejectReason.NotAllowed, admission.RefusalOf(address, SecondUs));
    }

    [Fact]
    public void Heralds_alone_use_up_nobodys_share()
    {
        var admission = new Admission(new() { DumpsPerSource = 1, DumpsPerNetwork = 1 }, Seed);

        for (int i = 0; i < 1_000_000; i++)
            Assert.Null(admission.RefusalOf(s_host, SecondUs + i));
    }

    [Fact]
    public void An_address_that_had_too_many_dumps_is_refused_and_its_neighbour_is_not()
    {
        var admission = new Admission(new() { DumpsPerSource = 3 }, Seed);
        Dump(admission, s_host, 3, SecondUs);

        Assert.Equal(RejectReason.TooManyFromSource, admission.RefusalOf(s_host, SecondUs));
        Assert.Null(admission.RefusalOf(new(s_host.Value + 1), SecondUs));
        Assert.Null(admission.RefusalOf(s_host, SecondUs + (20 * SecondUs)));
    }

    [Fact]
    public void A_network_that_had_too_many_dumps_is_refused_and_its_neighbour_is_not()
    {
        var admission = new Admission(new() { DumpsPerSource = 1, DumpsPerNetwork = 6 }, Seed);
        for (uint host = 0; host < 6; host++)
            Dump(admission, new(0x0a010200 + host), 1, SecondUs);

        Assert.Equal(RejectReason.TooManyFromNetwork, admission.RefusalOf(new(0x0a0102ff), SecondUs));
        Assert.Null(admission.RefusalOf(new(0x0a010300), SecondUs));
        Assert.Null(admission.RefusalOf(new(0x0a0102ff), SecondUs + (10 * SecondUs)));
    }

    /// <summary>Each host sends its herald up to three times and dumps each minute as soon as it is up again.</summary>
    [Theory]
    [InlineData(4, 250)]
    [InlineData(100, 10)]
    public void A_thousand_hosts_in_a_reboot_loop_are_never_refused(int networks, int hostsPerNetwork) =>
        Prop.ForAll((from seed in ArbMap.Default.GeneratorFor<ulong>()
                     from jitter in Gen.Choose(0, 2_000_000)
                     select (seed, jitter)).ToArbitrary(), given =>
        {
            var random = new Random(given.jitter);
            var admission = new Admission(new(), given.seed);
            for (int minute = 0; minute < 20; minute++)
            {
                for (uint host = 0; host < networks * hostsPerNetwork; host++)
                {
                    var address = new Ipv4(0x0a000000 + (host / (uint)hostsPerNetwork << 8) + 1 + host % (uint)hostsPerNetwork);
                    long nowUs = SecondUs + (minute * MinuteUs) + random.Next(given.jitter + 1);
                    for (int herald = random.Next(3); herald >= 0; herald--)
                        Assert.Null(admission.RefusalOf(address, nowUs));
                    admission.TryBeginDump(address, nowUs);
                }
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5));

    [Fact]
    public void Whatever_heralds_and_dumps_come_an_address_without_dumps_of_its_own_is_only_refused_for_its_network() =>
        Prop.ForAll((from sources in Gen.Choose(0, 2000).ArrayOf()
                     from seed in ArbMap.Default.GeneratorFor<ulong>()
                     select (sources, seed)).ToArbitrary(), given =>
        {
            var admission = new Admission(new() { DumpsPerSource = 2, DumpsPerNetwork = 20 }, given.seed);
            var dumps = new List<uint>();
            for (int i = 0; i < given.sources.Length; i++)
            {
                uint source = (uint)given.sources[i];
                var refusal = admission.RefusalOf(new(source), SecondUs + i);
                if (refusal == RejectReason.TooManyFromSource)
                    Assert.True(dumps.Count(other => other == source) >= 2);
                else if (refusal == RejectReason.TooManyFromNetwork)
                    Assert.True(dumps.Count(other => other >> 8 == source >> 8) >= 20);
                else if (i % 3 != 0)
                {
                    admission.TryBeginDump(new(source), SecondUs + i);
                    dumps.Add(source);
                }
            }

            Assert.All(dumps.GroupBy(source => source), group => Assert.InRange(group.Count(), 1, 2));
            Assert.All(dumps.GroupBy(source => source >> 8), group => Assert.InRange(group.Count(), 1, 20));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Only_so_many_half_open_sessions_get_sockets_and_one_that_has_data_makes_room()
    {
        var admission = new Admission(new() { MaxHalfOpenEndpoints = 2 }, Seed);

        admission.AddHalfOpenEndpoint();
        Assert.True(admission.HasRoomForEndpoint);
        admission.AddHalfOpenEndpoint();
        Assert.False(admission.HasRoomForEndpoint);
        admission.RemoveHalfOpenEndpoint();
        Assert.True(admission.HasRoomForEndpoint);
    }

    [Fact]
    public void A_dump_that_may_not_begin_takes_nothing_from_anybodys_share()
    {
        var admission = new Admission(new() { DumpsPerSource = 1, DumpsPerNetwork = 2 }, Seed);

        Assert.Null(admission.TryBeginDump(s_host, SecondUs));
        for (int i = 0; i < 10; i++)
            Assert.Equal(RejectReason.TooManyFromSource, admission.TryBeginDump(s_host, SecondUs));

        Assert.Null(admission.TryBeginDump(new(s_host.Value + 1), SecondUs));
        Assert.Equal(RejectReason.TooManyFromNetwork, admission.TryBeginDump(new(s_host.Value + 2), SecondUs));
    }

    [Fact]
    public void Deciding_allocates_nothing()
    {
        var admission = new Admission(new() { Allowed = Networks("10.0.0.0/8"), Denied = Networks("10.9.0.0/16") }, Seed);
        uint i = 0;

        NoAllocation.In(() =>
        {
            for (uint end = i + 50; i < end; i++)
            {
                admission.RefusalOf(new(0x0a000000 + (i * 7919)), SecondUs + i);
                admission.TryBeginDump(new(0x0a000000 + (i * 7919)), SecondUs + i);
            }
        });
    }

    private static void Dump(Admission admission, Ipv4 source, int times, long nowUs)
    {
        for (int i = 0; i < times; i++)
            admission.TryBeginDump(source, nowUs);
    }

    private static Ipv4Networks Networks(string text) => Ipv4Networks.TryParse(text, out var networks) ? networks : throw new FormatException(text);
}
