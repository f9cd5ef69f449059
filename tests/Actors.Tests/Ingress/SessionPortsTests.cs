using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Ingress;

public sealed class SessionPortsTests : IDisposable
{
    private static readonly Ipv4 s_other = new(0x7f000002);

    private readonly FullLoop _loop = new();
    private readonly SessionPorts _ports = new((30_000, 30_009), shard: 0, shards: 1);

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void An_address_whose_ports_are_taken_is_left_alone_for_a_second()
    {
        for (int herald = 0; herald < 100; herald++)
            Assert.Equal(EndpointError.PortTaken, Assert.Throws<EndpointException>(() => Open(Ipv4.Loopback)).Error);
        Assert.Equal(10, _loop.Attempts);

        _loop.NowUs += 1_000_000;
        Assert.Throws<EndpointException>(() => Open(Ipv4.Loopback));
        Assert.Equal(20, _loop.Attempts);
    }

    [Fact]
    public void Another_address_may_have_ports()
    {
        Assert.Throws<EndpointException>(() => Open(Ipv4.Loopback));
        Assert.Throws<EndpointException>(() => Open(s_other));

        Assert.Equal(20, _loop.Attempts);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(3, true)]
    [InlineData(9, true)]
    [InlineData(5, false)]
    public void New_sessions_get_no_ports_next_to_those_that_an_earlier_process_has_left(int ahead, bool isNear)
    {
        Assert.Throws<EndpointException>(() => Open(Ipv4.Loopback));
        int next = _loop.Ports[0] - 30_000;

        _ports.Skip((ushort)(30_000 + (next + ahead) % 10));
        _loop.NowUs += 1_000_000;
        _loop.Ports.Clear();
        Assert.Throws<EndpointException>(() => Open(Ipv4.Loopback));

        Assert.Equal(30_000 + (isNear ? next + ahead + 5 : next) % 10, _loop.Ports[0]);
    }

    private void Open(Ipv4 local) => _ports.Open(_loop, local, 0, null!);

    /// <summary>All ports are taken.</summary>
    private sealed class FullLoop : IEventLoop
    {
        public int Attempts => Ports.Count;

        public List<int> Ports { get; } = [];

        public bool IsCurrent => true;

        public long NowUs { get; set; }

        public TimeSpan BusyTime => TimeSpan.Zero;

        public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver)
        {
            Ports.Add(options.Port);
            throw new EndpointException("taken", EndpointError.PortTaken);
        }

        public void Start() => throw new NotSupportedException();

        public void Post(ILoopWork work) => throw new NotSupportedException();

        public void SetTimer(LoopTimer timer, long dueUs) => throw new NotSupportedException();

        public void BeginBlockingCall(IStallObserver observer) => throw new NotSupportedException();

        public bool EndBlockingCall() => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
