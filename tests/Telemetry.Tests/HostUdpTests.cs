namespace NetdumpCollector.Telemetry.Tests;

public sealed class HostUdpTests
{
    [Fact]
    public void Values_are_found_by_their_names() => Assert.Equal(new HostUdp(ChecksumErrors: 7, ReceiveBufferErrors: 5), HostUdp.Parse(
    [
        "Tcp: RtoAlgorithm InCsumErrors",
        "Tcp: 1 99",
        "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors",
        "Udp: 100 2 12 90 5 0 7 0 0",
        "UdpLite: InDatagrams RcvbufErrors InCsumErrors",
        "UdpLite: 0 0 0",
    ]));

    [Theory]
    [InlineData("")]
    [InlineData("Udp: InCsumErrors RcvbufErrors")]
    [InlineData("Udp: InCsumErrors RcvbufErrors|Udp: 1")]
    [InlineData("Udp: InCsumErrors RcvbufErrors|Udp: x 1")]
    [InlineData("Udp: InDatagrams|Udp: 1")]
    public void What_is_not_there_is_not_made_up(string lines) => Assert.Null(HostUdp.Parse(lines.Split('|')));
}
