using System.Net;
using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests;

public sealed class Ipv4Tests
{
    [Theory]
    [InlineData("0.0.0.0", 0u)]
    [InlineData("127.0.0.1", 0x7f000001u)]
    [InlineData("192.0.2.7", 0xc0000207u)]
    [InlineData("255.255.255.255", 0xffffffffu)]
    public void Parses_dotted_decimal(string text, uint value)
    {
        Assert.True(Ipv4.TryParse(text, out var address));
        Assert.Equal(value, address.Value);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("localhost")]
    [InlineData("127.1")]
    [InlineData("2130706433")]
    [InlineData("1.2.3.4.5")]
    [InlineData("1.2.3.256")]
    [InlineData("1.2.3.")]
    [InlineData("1.2.3.4 ")]
    [InlineData("::1")]
    [InlineData("::ffff:1.2.3.4")]
    public void Refuses_everything_else(string? text) => Assert.False(Ipv4.TryParse(text, out _));

    [Theory]
    [InlineData("0x7f.0.0.1")]
    [InlineData("0x7f.0x0.0x0.0x1")]
    [InlineData("010.0.0.1")]
    public void Refuses_hexadecimal_and_octal_parts_which_are_rather_mistakes(string text) => Assert.False(Ipv4.TryParse(text, out _));

    [Fact]
    public void An_address_of_another_family_is_no_Ipv4() => Assert.Throws<ArgumentException>(() => Ipv4.From(IPAddress.IPv6Loopback));

    [Fact]
    public void The_named_addresses_are_what_their_names_say()
    {
        Assert.Equal(IPAddress.Any, Ipv4.Any.ToIPAddress());
        Assert.Equal(IPAddress.Loopback, Ipv4.Loopback.ToIPAddress());
    }

    [Fact]
    public void Text_and_IPAddress_lead_back_to_the_same_address() =>
        Prop.ForAll(ArbMap.Default.ArbFor<uint>(), value =>
        {
            var address = new Ipv4(value);
            return Ipv4.TryParse(address.ToString(), out var parsed) && parsed == address
                && Ipv4.From(address.ToIPAddress()) == address
                && address.ToString() == address.ToIPAddress().ToString();
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Addresses_are_ordered_as_numbers() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(uint, uint)>(), pair =>
        {
            Ipv4 left = new(pair.Item1), right = new(pair.Item2);
            return left < right == pair.Item1 < pair.Item2
                && left > right == pair.Item1 > pair.Item2
                && left <= right == pair.Item1 <= pair.Item2
                && left >= right == pair.Item1 >= pair.Item2
                && Math.Sign(left.CompareTo(right)) == pair.Item1.CompareTo(pair.Item2);
        }).QuickCheckThrowOnFailure();
}
