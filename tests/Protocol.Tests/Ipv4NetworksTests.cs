using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests;

public sealed class Ipv4NetworksTests
{
    [Theory]
    [InlineData("192.0.2.0/24", "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0")]
    [InlineData("192.0.2.128/25", "192.0.2.128", "192.0.2.255", "192.0.2.127", "192.0.3.0")]
    [InlineData("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.6", "192.0.2.8")]
    [InlineData("192.0.2.7/32", "192.0.2.7", "192.0.2.7", "192.0.2.6", "192.0.2.8")]
    [InlineData("128.0.0.0/1", "128.0.0.0", "255.255.255.255", "127.255.255.255", "0.0.0.0")]
    public void A_network_has_its_first_and_last_address_and_no_neighbour(string text, string first, string last, string below, string above)
    {
        Assert.True(Ipv4Network.TryParse(text, out var network));

        Assert.True(network.Contains(Parse(first)));
        Assert.True(network.Contains(Parse(last)));
        Assert.False(network.Contains(Parse(below)));
        Assert.False(network.Contains(Parse(above)));
    }

    [Fact]
    public void A_network_has_just_the_addresses_that_share_its_prefix() =>
        Prop.ForAll((from address in ArbMap.Default.GeneratorFor<uint>()
                     from bits in Gen.Choose(0, 32)
                     from flipped in Gen.Choose(0, 31)
                     select (address, bits, flipped)).ToArbitrary(), given =>
        {
            var network = new Ipv4Network(new(given.address), given.bits);
            Assert.True(network.Contains(new(given.address)));
            // Bit 0 is the leading one.
            Assert.Equal(given.flipped >= given.bits, network.Contains(new(given.address ^ (0x80000000 >> given.flipped))));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void What_is_printed_is_read_as_the_same() =>
        Prop.ForAll((from networks in (from address in ArbMap.Default.GeneratorFor<uint>()
                                       from bits in Gen.Choose(0, 32)
                                       select new Ipv4Network(new(address), bits)).ArrayOf()
                     select new Ipv4Networks(networks)).ToArbitrary(), networks =>
        {
            Assert.True(Ipv4Networks.TryParse(networks.ToString(), out var read));
            Assert.Equal(networks, read);
            Assert.Equal(networks.GetHashCode(), read.GetHashCode());
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("192.0.2.1/24")]
    [InlineData("192.0.2.0/33")]
    [InlineData("192.0.2.0/-1")]
    [InlineData("192.0.2.0/")]
    [InlineData("192.0.2.0/ 24")]
    [InlineData("/24")]
    [InlineData("192.0.2/24")]
    [InlineData("::/0")]
    [InlineData("192.0.2.0/24,")]
    [InlineData(",")]
    [InlineData(" ")]
    public void What_is_no_list_of_networks_is_refused(string text) => Assert.False(Ipv4Networks.TryParse(text, out _));

    [Fact]
    public void A_list_has_what_one_of_its_networks_has()
    {
        Assert.True(Ipv4Networks.TryParse("192.0.2.0/24, 198.51.100.7", out var networks));

        Assert.True(networks.Contains(Parse("192.0.2.9")));
        Assert.True(networks.Contains(Parse("198.51.100.7")));
        Assert.False(networks.Contains(Parse("198.51.100.8")));
        Assert.False(networks.IsEmpty);
    }

    [Fact]
    public void An_empty_list_has_nothing()
    {
        Assert.True(Ipv4Networks.TryParse("", out var networks));

        Assert.True(networks.IsEmpty);
        Assert.False(networks.Contains(Ipv4.Loopback));
        Assert.Equal(Ipv4Networks.None, networks);
    }

    private static Ipv4 Parse(string text) => Ipv4.TryParse(text, out var address) ? address : throw new FormatException(text);
}
