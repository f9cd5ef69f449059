using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Storage.Tests;

public sealed class HostFileNameTests
{
    [Theory]
    [InlineData("web-01", "web-01")]
    [InlineData("10.0.2.7", "10.0.2.7")]
    [InlineData("", "unknown")]
    [InlineData("..", "_.")]
    [InlineData(".hidden", "_hidden")]
    [InlineData("../../etc/passwd", "_._.._etc_passwd")]
    [InlineData("a/b", "a_b")]
    [InlineData("höst\0\n", "h_st__")]
    public void Keeps_what_is_harmless_and_replaces_the_rest(string host, string expected) => Assert.Equal(expected, HostFileName.From(host));

    [Fact]
    public void Is_never_longer_than_a_dns_label() => Assert.Equal(new string('a', 63), HostFileName.From(new('a', 300)));

    [Fact]
    public void Every_name_is_allowed_and_stays_as_it_is() =>
        Prop.ForAll(ArbMap.Default.GeneratorFor<string>().Where(s => s is not null).ToArbitrary(), host =>
        {
            string name = HostFileName.From(host);
            Assert.True(HostFileName.IsAllowed(name));
            Assert.Equal(name, HostFileName.From(name));
        }).QuickCheckThrowOnFailure();
}
