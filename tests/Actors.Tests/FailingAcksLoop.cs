using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>An event loop whose sockets throw when certain acks are to be sent.</summary>
internal sealed class FailingAcksLoop(IEventLoop loop, Func<Ipv4, uint, bool> fails) : IEventLoop
{
    public const string Failure = "no ack for you";

    public bool IsCurrent => loop.IsCurrent;

    public long NowUs => loop.NowUs;

    public TimeSpan BusyTime => loop.BusyTime;

    public void Start() => loop.Start();

    public void Post(ILoopWork work) => loop.Post(work);

    public void SetTimer(LoopTimer timer, long dueUs) => loop.SetTimer(timer, dueUs);

    public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver) => new Endpoint(loop.Open(options, receiver), fails);

    public void BeginBlockingCall(IStallObserver observer) => loop.BeginBlockingCall(observer);

    public bool EndBlockingCall() => loop.EndBlockingCall();

    public void Dispose() => loop.Dispose();

    private sealed class Endpoint(IUdpEndpoint endpoint, Func<Ipv4, uint, bool> fails) : IUdpEndpoint
    {
        public Ipv4 Address => endpoint.Address;

        public ushort Port => endpoint.Port;

        public int ReceiveBufferBytes => endpoint.ReceiveBufferBytes;

        public long Drops => endpoint.Drops;

        public void SendAcks(Ipv4 local, Ipv4 remote, ushort remotePort, ReadOnlySpan<uint> seqnos)
        {
            if (fails(remote, seqnos[0]))
                throw new InvalidOperationException(Failure);
            endpoint.SendAcks(local, remote, remotePort, seqnos);
        }

        public void Send(Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram) => endpoint.Send(remote, remotePort, datagram);

        public void Dispose() => endpoint.Dispose();
    }
}
