using System.Buffers.Binary;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport.Linux;

namespace NetdumpCollector.Transport.Tests.Linux;

public sealed unsafe class LinuxEndpointTests
{
    // SO_NO_CHECK: without UDP checksums the kernel refuses to cut sends into segments.
    private const int SoNoCheck = 11;

    [LinuxFact]
    public void A_train_of_segments_is_taken_from_the_socket_as_one_message()
    {
        using RunningLoop loop = new("linux");
        var endpoint = (LinuxEndpoint)loop.Open(Ipv4.Any, new DatagramRecorder());
        using UdpClientSocket client = new();
        loop.Run(() =>
        {
            using ReceivePool pool = new();
            using MessageReceiver receiver = new(pool);
            client.SendTrain(Ipv4.Loopback, endpoint.Port, new byte[10_100], 1000);

            Assert.Equal(1, receiver.Receive(endpoint.Descriptor));
            Assert.True(receiver.TryRead(0, Ipv4.Any, out Datagram taken, out int segmentBytes));
            Assert.Equal((10_100, 1000, Ipv4.Loopback, client.Port), (taken.Length, segmentBytes, taken.Local, taken.RemotePort));
            Assert.Equal(0, receiver.Receive(endpoint.Descriptor));
        });
    }

    [LinuxFact]
    public void Acks_leave_in_segments()
    {
        using RunningLoop loop = new("linux");
        var endpoint = (LinuxEndpoint)loop.Open(Ipv4.Loopback, new DatagramRecorder());
        using UdpClientSocket client = new();

        SendAndReceive(loop, endpoint, client, 126);

        Assert.True(loop.Run(() => endpoint.CanSegment));
    }

    [LinuxFact]
    public void Where_segments_are_refused_acks_leave_one_by_one_and_it_is_remembered()
    {
        using RunningLoop loop = new("linux");
        var endpoint = (LinuxEndpoint)loop.Open(Ipv4.Any, new DatagramRecorder());
        using UdpClientSocket client = new();
        Assert.True(loop.Run(() => Libc.SetFlag(endpoint.Descriptor, Libc.SolSocket, SoNoCheck)));

        SendAndReceive(loop, endpoint, client, 1);
        Assert.True(loop.Run(() => endpoint.CanSegment));
        SendAndReceive(loop, endpoint, client, 126);
        Assert.False(loop.Run(() => endpoint.CanSegment));
        SendAndReceive(loop, endpoint, client, 46);
    }

    [LinuxFact]
    public void Acks_that_cannot_be_sent_at_all_say_nothing_about_segments()
    {
        using RunningLoop loop = new("linux");
        var endpoint = (LinuxEndpoint)loop.Open(Ipv4.Any, new DatagramRecorder());
        using UdpClientSocket client = new();

        loop.Run(() =>
        {
            // An address of another machine, one that is no source, and a port that is none (EINVAL, as a refused segment size).
            endpoint.SendAcks(new Ipv4(0xc0000201), client.Address, client.Port, [1, 2]);
            endpoint.SendAcks(new Ipv4(0xe0000001), client.Address, client.Port, [1, 2]);
            endpoint.SendAcks(Ipv4.Loopback, client.Address, 0, [1, 2]);
        });
        SendAndReceive(loop, endpoint, client, 46);

        Assert.True(loop.Run(() => endpoint.CanSegment));
    }

    [LinuxFact]
    public void Drops_are_counted_without_another_datagram()
    {
        const int Sent = 300;
        using RunningLoop loop = new("linux");
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder, receiveBufferBytes: 8192);
        using UdpClientSocket client = new();

        loop.Hold(() =>
        {
            for (int i = 0; i < Sent; i++)
                client.Send(endpoint, new byte[1000]);
        });

        Assert.True(SpinWait.SpinUntil(() => recorder.Count + loop.Run(() => endpoint.Drops) == Sent, RunningLoop.Deadline));
        long drops = loop.Run(() => endpoint.Drops);
        Assert.InRange(drops, 1, Sent - 1);

        loop.Run(endpoint.Dispose);
        Assert.Equal(drops, endpoint.Drops);
    }

    [LinuxFact]
    public void More_datagrams_than_one_delivery_holds_all_arrive()
    {
        using RunningLoop loop = new("linux");
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder, manySources: true);

        int sent = SendManyTrains(loop, endpoint);

        Delivered[] delivered = recorder.WaitFor(sent);
        Assert.Equal(Enumerable.Range(0, sent), delivered.Select(datagram => BinaryPrimitives.ReadInt32BigEndian(datagram.Bytes)));
        Assert.All(delivered.CountBy(datagram => datagram.Delivery), delivery => Assert.InRange(delivery.Value, 1, DatagramBatch.Capacity));
    }

    [LinuxFact]
    public void An_endpoint_that_closes_itself_gets_no_more_of_what_was_received_already()
    {
        using RunningLoop loop = new("linux");
        DatagramRecorder recorder = new((closing, _) => closing.Dispose());
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);

        SendManyTrains(loop, endpoint);

        Assert.All(recorder.WaitFor(1), datagram => Assert.Equal(0, datagram.Delivery));
        Assert.Empty(loop.Errors);
    }

    [LinuxFact]
    public void Receiving_and_acking_allocate_nothing()
    {
        const int Burst = 46;
        const int WarmUp = 100 * Burst;
        const int Measured = 60_030;
        using RunningLoop loop = new("linux");
        AckingReceiver receiver = new(loop.Loop, WarmUp, Measured);
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, receiver, manySources: true);
        using UdpClientSocket client = new();
        byte[] datagram = new byte[1472];

        for (int sent = 0; sent < WarmUp + Measured; sent += Burst)
        {
            for (int i = 0; i < Burst; i++)
                client.Send(Ipv4.Loopback, endpoint.Port, datagram);
            for (int i = 0; i < Burst; i++)
                client.ReceiveAck(Ipv4.Loopback, endpoint.Port);
        }

        Assert.InRange(loop.Run(() => receiver.AllocatedBytes), 0, NoAllocation.NoiseBytes);
    }

    [Theory]
    [InlineData(Libc.EADDRINUSE, EndpointError.PortTaken)]
    [InlineData(Libc.EADDRNOTAVAIL, EndpointError.AddressNotLocal)]
    [InlineData(Libc.EACCES, EndpointError.NotPermitted)]
    [InlineData(Libc.EPERM, EndpointError.NotPermitted)]
    [InlineData(Libc.EMFILE, EndpointError.NoDescriptors)]
    [InlineData(Libc.ENFILE, EndpointError.NoDescriptors)]
    [InlineData(Libc.ENOBUFS, EndpointError.NoDescriptors)]
    [InlineData(Libc.EIO, EndpointError.Other)]
    public void Error_numbers_have_a_meaning(int error, EndpointError meaning) => Assert.Equal(meaning, LinuxEndpoint.Map(error));

    private static void SendAndReceive(RunningLoop loop, LinuxEndpoint endpoint, UdpClientSocket client, int count)
    {
        uint[] seqnos = [.. Enumerable.Range(1, count).Select(i => (uint)i)];
        loop.Run(() => endpoint.SendAcks(Ipv4.Loopback, client.Address, client.Port, seqnos));
        Assert.Equal(seqnos, seqnos.Select(_ => client.ReceiveAck(Ipv4.Loopback, endpoint.Port)));
    }

    // Trains of 64: one receive call brings many times what one delivery takes.
    private static int SendManyTrains(RunningLoop loop, IUdpEndpoint endpoint)
    {
        const int Trains = 40;
        const int PerTrain = 64;
        using UdpClientSocket client = new();
        byte[] numbers = new byte[4 * PerTrain];

        loop.Hold(() =>
        {
            for (int train = 0; train < Trains; train++)
            {
                for (int i = 0; i < PerTrain; i++)
                    BinaryPrimitives.WriteInt32BigEndian(numbers.AsSpan(4 * i), PerTrain * train + i);
                client.SendTrain(endpoint, numbers, 4);
            }
        });
        return Trains * PerTrain;
    }

    /// <summary>Acks all it gets, after a call as to a file; measures what its thread allocates once <paramref name="warmUp"/> datagrams have passed.</summary>
    private sealed class AckingReceiver(IEventLoop loop, int warmUp, int measured) : IDatagramReceiver, IStallObserver
    {
        private readonly uint[] _seqnos = new uint[DatagramBatch.Capacity];
        private int _received;
        private long _startBytes;

        public long AllocatedBytes { get; private set; } = -1;

        public void OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
        {
            if (_received < warmUp)
                _startBytes = GC.GetAllocatedBytesForCurrentThread();
            _received += datagrams.Length;

            loop.BeginBlockingCall(this);
            for (int i = 0; i < datagrams.Length; i++)
                _seqnos[i] = (uint)i;
            if (!loop.EndBlockingCall())
                return;

            endpoint.SendAcks(datagrams[0].Local, datagrams[0].Remote, datagrams[0].RemotePort, _seqnos.AsSpan(0, datagrams.Length));

            if (_received >= warmUp + measured)
                AllocatedBytes = GC.GetAllocatedBytesForCurrentThread() - _startBytes;
        }

        public void OnStall()
        {
        }
    }
}
