using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.HostNames;

public sealed class HostMapTests
{
    [Theory]
    [InlineData("10.1.2.3", "exact")]
    [InlineData("10.1.2.4", "rack")]
    [InlineData("10.1.9.9", "site")]
    [InlineData("10.200.0.1", "ten")]
    [InlineData("192.168.0.1", null)]
    public void The_longest_prefix_wins(string address, string? name)
    {
        var map = HostMap.Parse(["# ours", "10.0.0.0/8 ten", "", "10.1.2.3\texact # the one", "  10.1.0.0/16   site", "10.1.2.0/24 rack"], "hosts");

        Assert.True(Ipv4.TryParse(address, out var ip));
        Assert.Equal(name, map.Find(ip));
    }

    [Fact]
    public void A_prefix_of_0_names_the_rest()
    {
        var map = HostMap.Parse(["0.0.0.0/0 other", "255.255.255.255 last-one"], "hosts");

        Assert.Equal("other", map.Find(new(0)));
        Assert.Equal("other", map.Find(new(0xfffffffe)));
        Assert.Equal("last-one", map.Find(new(0xffffffff)));
    }

    [Theory]
    [InlineData("10.0.0.1", "expected ADDRESS[/PREFIX] NAME")]
    [InlineData("10.0.0.1 a b", "expected ADDRESS[/PREFIX] NAME")]
    [InlineData("10.0.0 a", "'10.0.0' is not an IPv4 address")]
    [InlineData("host a", "'host' is not an IPv4 address")]
    [InlineData("10.0.0.0/33 a", "'33' is not a prefix length; allowed are 0 to 32")]
    [InlineData("10.0.0.0/ a", "'' is not a prefix length; allowed are 0 to 32")]
    [InlineData("10.0.0.0/-1 a", "'-1' is not a prefix length; allowed are 0 to 32")]
    [InlineData("10.0.0.5/24 a", "10.0.0.5/24 has bits set beyond its prefix; the network is 10.0.0.0/24")]
    [InlineData("10.0.0.1 ../a", "'../a' cannot be in a file name; allowed are at most 63 of A-Z a-z 0-9 _ . - and no dot at the start")]
    [InlineData("1.2.3.4/32 again", "1.2.3.4/32 has a name already")]
    public void A_wrong_line_is_named_with_its_number(string line, string reason)
    {
        var e = Assert.Throws<HostMapException>(() => HostMap.Parse(["1.2.3.4 first", "# comment", line], "/etc/dump-hosts"));

        Assert.Equal($"/etc/dump-hosts:3: {reason}", e.Message);
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_named()
    {
        var e = Assert.Throws<HostMapException>(() => HostMap.Load("/nonexistent/hosts"));

        Assert.StartsWith("hosts file /nonexistent/hosts: ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_is_read()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "127.0.0.1 me\n");
            Assert.Equal("me", HostMap.Load(path).Find(Ipv4.Loopback));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
