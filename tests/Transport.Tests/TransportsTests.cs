using System.Runtime.InteropServices;

namespace NetdumpCollector.Transport.Tests;

public sealed class TransportsTests
{
    [Fact]
    public void The_Linux_transport_is_the_default_on_Linux_and_the_portable_one_elsewhere()
    {
        bool isLinux = OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.Arm64;
        Assert.Equal(isLinux ? "linux" : "portable", Transports.Default.Name);
    }

    [Fact]
    public void Transports_are_found_by_name()
    {
        Assert.All(Transports.Available, transport =>
        {
            Assert.True(Transports.TryGet(transport.Name, out ITransport? found));
            Assert.Same(transport, found);
        });
        Assert.True(Transports.TryGet("portable", out _));
        Assert.False(Transports.TryGet("io_uring", out _));
    }
}
