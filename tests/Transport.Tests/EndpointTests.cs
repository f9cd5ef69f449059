using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>What every transport's endpoints do.</summary>
public sealed class EndpointTests
{
    private static readonly Ipv4 s_loopback5 = Parse("127.0.0.5");

    [Theory, EveryTransport]
    public void Datagrams_come_with_their_source_and_destination(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(s_loopback5, recorder);
        using UdpClientSocket client = new("127.0.0.9");

        client.Send(endpoint, [1, 2, 3]);

        Delivered delivered = Assert.Single(recorder.WaitFor(1));
        Assert.Equal([1, 2, 3], delivered.Bytes);
        Assert.Equal((Parse("127.0.0.9"), client.Port, s_loopback5), (delivered.Remote, delivered.RemotePort, delivered.Local));
        Assert.Equal(s_loopback5, endpoint.Address);
        Assert.NotEqual(0, endpoint.Port);
    }

    [Theory, EveryTransport]
    public void A_wildcard_socket_says_which_address_was_sent_to(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, recorder, manySources: true);
        using UdpClientSocket client = new();

        string[] addresses = ["127.0.0.1", "127.0.0.5", "127.0.0.77"];
        foreach (string address in addresses)
            client.Send(Parse(address), endpoint.Port, [7]);

        Assert.Equal(addresses, recorder.WaitFor(3).Select(delivered => delivered.Local.ToString()));
    }

    [Theory, EveryTransport]
    public void Datagrams_of_one_source_stay_in_order(string transport)
    {
        const int Count = 5000;
        using RunningLoop loop = new(transport);
        using SemaphoreSlim received = new(0);
        DatagramRecorder recorder = new((_, datagrams) => received.Release(datagrams.Length));
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();

        // Never more on the way than any receive buffer holds.
        for (int sent = 0; sent < Count; sent++)
        {
            client.Send(endpoint, BitConverter.GetBytes(sent));
            Assert.True(sent < 100 || received.Wait(RunningLoop.Deadline));
        }

        Assert.Equal(Enumerable.Range(0, Count), recorder.WaitFor(Count).Select(delivered => BitConverter.ToInt32(delivered.Bytes)));
    }

    [Theory, EveryTransport]
    public void A_train_of_segments_arrives_as_single_datagrams(string transport)
    {
        const int SegmentBytes = 1472;
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();
        byte[] train = new byte[44 * SegmentBytes + 100];
        new Random(1).NextBytes(train);

        client.SendTrain(endpoint, train, SegmentBytes);

        Delivered[] delivered = recorder.WaitFor(45);
        Assert.Equal([.. Enumerable.Repeat(SegmentBytes, 44), 100], delivered.Select(datagram => datagram.Bytes.Length));
        Assert.Equal(train, delivered.SelectMany(datagram => datagram.Bytes));
        Assert.All(delivered, datagram => Assert.Equal((client.Address, client.Port), (datagram.Remote, datagram.RemotePort)));
    }

    [Theory, EveryTransport]
    public void Jumbo_datagrams_arrive_whole(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();
        byte[] largest = new byte[65507];
        new Random(2).NextBytes(largest);

        client.Send(endpoint, largest.AsSpan(0, 8972));
        client.Send(endpoint, largest);

        Delivered[] delivered = recorder.WaitFor(2);
        Assert.Equal(largest[..8972], delivered[0].Bytes);
        Assert.Equal(largest, delivered[1].Bytes);
    }

    [Theory, EveryTransport]
    public void Runts_and_empty_datagrams_arrive_with_their_length(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder);
        using UdpClientSocket client = new();

        int[] lengths = [0, 1, 3, 0, 23, 24];
        foreach (int length in lengths)
            client.Send(endpoint, new byte[length]);

        Assert.Equal(lengths, recorder.WaitFor(lengths.Length).Select(delivered => delivered.Bytes.Length));
    }

    [Theory, EveryTransport]
    public void Datagrams_of_many_sources_are_delivered_source_by_source(string transport)
    {
        const int Sources = 3;
        const int PerSource = 20;
        using RunningLoop loop = new(transport);
        DatagramRecorder recorder = new();
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, recorder, manySources: true);
        UdpClientSocket[] clients = [.. Enumerable.Range(0, Sources).Select(i => new UdpClientSocket($"127.0.0.{10 + i}"))];

        loop.Hold(() =>
        {
            for (int i = 0; i < PerSource; i++)
            {
                foreach (UdpClientSocket client in clients)
                    client.Send(endpoint, [(byte)i]);
            }
        });

        Delivered[] delivered = recorder.WaitFor(Sources * PerSource);
        foreach (var delivery in delivered.GroupBy(datagram => datagram.Delivery))
        {
            ushort[] ports = [.. delivery.Select(datagram => datagram.RemotePort)];
            int changes = ports.Zip(ports.Skip(1)).Count(pair => pair.First != pair.Second);
            Assert.Equal(ports.Distinct().Count() - 1, changes);
        }
        Assert.All(clients, client => Assert.Equal(
            Enumerable.Range(0, PerSource),
            delivered.Where(datagram => datagram.RemotePort == client.Port).Select(datagram => (int)datagram.Bytes[0])));
        Array.ForEach(clients, client => client.Dispose());
    }

    [Theory, EveryTransport]
    public void Acks_leave_as_single_big_endian_datagrams(string transport)
    {
        using RunningLoop loop = new(transport);
        IUdpEndpoint endpoint = loop.Open(s_loopback5, new DatagramRecorder());
        using UdpClientSocket client = new();

        foreach (int count in (int[])[1, 2, 46, 64, 65, 126, 128, 129])
        {
            uint[] seqnos = [.. Enumerable.Range(0, count).Select(i => 0xfffffff0u + (uint)i)];
            loop.Run(() => endpoint.SendAcks(s_loopback5, client.Address, client.Port, seqnos));

            Assert.Equal(seqnos, seqnos.Select(_ => client.ReceiveAck(s_loopback5, endpoint.Port)));
        }
    }

    [Theory, EveryTransport]
    public void A_wildcard_socket_answers_from_the_address_that_was_sent_to(string transport)
    {
        using RunningLoop loop = new(transport);
        uint[] seqnos = [.. Enumerable.Range(1, 46).Select(i => (uint)i)];
        DatagramRecorder recorder = new((endpoint, datagrams) =>
        {
            foreach (ref readonly Datagram datagram in datagrams)
                endpoint.SendAcks(datagram.Local, datagram.Remote, datagram.RemotePort, seqnos.AsSpan(0, datagram.Length));
        });
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, recorder);
        using UdpClientSocket client = new("127.0.0.9");

        // Twice each: the answer must not take away what comes to the same address later.
        foreach (string address in (string[])["127.0.0.5", "127.0.0.6", "127.0.0.1", "127.0.0.5", "127.0.0.6", "127.0.0.1"])
        {
            foreach (int acks in (int[])[1, 46])
            {
                client.Send(Parse(address), endpoint.Port, new byte[acks]);
                Assert.Equal(seqnos[..acks], seqnos[..acks].Select(_ => client.ReceiveAck(Parse(address), endpoint.Port)));
            }
        }
        Assert.Equal(
            ["127.0.0.5", "127.0.0.6", "127.0.0.1", "127.0.0.5", "127.0.0.6", "127.0.0.1"],
            recorder.WaitFor(12).Where(delivered => delivered.Bytes.Length == 1).Select(delivered => delivered.Local.ToString()));
    }

    [Theory, EveryTransport]
    public void A_datagram_is_sent_whole(string transport)
    {
        using RunningLoop loop = new(transport);
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, new DatagramRecorder());
        using UdpClientSocket client = new();
        byte[] datagram = new byte[9000];
        new Random(3).NextBytes(datagram);

        loop.Run(() => endpoint.Send(client.Address, client.Port, datagram));
        loop.Run(() => endpoint.Send(client.Address, client.Port, []));

        var received = client.Receive();
        Assert.Equal(datagram, received.Bytes);
        Assert.Equal((Ipv4.Loopback, endpoint.Port), (received.From, received.FromPort));
        Assert.Empty(client.Receive().Bytes);
    }

    [Theory, EveryTransport]
    public void What_cannot_be_sent_is_lost_and_later_acks_arrive(string transport)
    {
        using RunningLoop loop = new(transport);
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, new DatagramRecorder());
        using UdpClientSocket client = new();
        ushort deaf;
        using (UdpClientSocket gone = new())
            deaf = gone.Port;

        loop.Run(() =>
        {
            endpoint.SendAcks(Ipv4.Loopback, Ipv4.Loopback, deaf, [1, 2, 3]);
            endpoint.SendAcks(Ipv4.Loopback, Ipv4.Loopback, 0, [1, 2, 3]);
            endpoint.Send(Ipv4.Loopback, deaf, new byte[70000]);
            endpoint.SendAcks(Ipv4.Loopback, client.Address, client.Port, [4, 5]);
        });

        Assert.Equal([4u, 5u], Enumerable.Range(0, 2).Select(_ => client.ReceiveAck(Ipv4.Loopback, endpoint.Port)));
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void A_taken_port_is_an_error_also_when_its_holder_would_share_it(string transport)
    {
        using RunningLoop loop = new(transport);
        using Socket holder = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        holder.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        holder.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        ushort port = (ushort)((IPEndPoint)holder.LocalEndPoint!).Port;

        EndpointException failure = Assert.Throws<EndpointException>(() => loop.Open(Ipv4.Loopback, new DatagramRecorder(), port));

        Assert.Equal(EndpointError.PortTaken, failure.Error);
        Assert.Contains($"127.0.0.1:{port}", failure.Message, StringComparison.Ordinal);
        Assert.Contains("in use", failure.Message, StringComparison.Ordinal);
    }

    [Theory, EveryTransport]
    public void A_port_that_answers_for_many_addresses_is_not_shared(string transport)
    {
        using RunningLoop loop = new(transport);
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, new DatagramRecorder());
        using UdpClientSocket client = new();
        loop.Run(() => endpoint.SendAcks(s_loopback5, client.Address, client.Port, [1]));
        client.ReceiveAck(s_loopback5, endpoint.Port);

        foreach (string address in (string[])["0.0.0.0", "127.0.0.5", "127.0.0.6"])
        {
            using Socket intruder = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            intruder.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            SocketException refused = Assert.Throws<SocketException>(() => intruder.Bind(new IPEndPoint(IPAddress.Parse(address), endpoint.Port)));
            Assert.Equal(SocketError.AddressAlreadyInUse, refused.SocketErrorCode);
        }
    }

    [Theory, EveryTransport]
    public void An_address_of_another_machine_is_an_error(string transport)
    {
        using RunningLoop loop = new(transport);

        EndpointException failure = Assert.Throws<EndpointException>(() => loop.Open(Parse("192.0.2.1"), new DatagramRecorder(), 20023));

        Assert.Equal(EndpointError.AddressNotLocal, failure.Error);
        Assert.Contains("192.0.2.1:20023", failure.Message, StringComparison.Ordinal);
    }

    [Theory, EveryTransport]
    public void The_receive_buffer_is_reported_as_granted(string transport)
    {
        using RunningLoop loop = new(transport);
        IUdpEndpoint endpoint = loop.Open(Ipv4.Loopback, new DatagramRecorder(), receiveBufferBytes: 100_000);
        Assert.InRange(endpoint.ReceiveBufferBytes, 100_000, 200_000);
        Assert.Equal(0, loop.Run(() => endpoint.Drops));
    }

    [Theory, EveryTransport]
    public void An_endpoint_can_close_itself_while_it_receives(string transport)
    {
        using RunningLoop loop = new(transport);
        int deliveries = 0;
        DatagramRecorder closing = new((endpoint, datagrams) =>
        {
            deliveries++;
            endpoint.Dispose();
            endpoint.SendAcks(datagrams[0].Local, datagrams[0].Remote, datagrams[0].RemotePort, [1]);
            endpoint.Send(datagrams[0].Remote, datagrams[0].RemotePort, [1]);
        });
        IUdpEndpoint first = loop.Open(Ipv4.Any, closing);
        using UdpClientSocket client = new();

        // More than one receive call takes.
        loop.Hold(() =>
        {
            for (int i = 0; i < 200; i++)
                client.Send(Ipv4.Loopback, first.Port, [1]);
        });
        closing.WaitFor(1);

        DatagramRecorder recorder = new();
        IUdpEndpoint second = loop.Open(Ipv4.Any, recorder, first.Port);
        client.Send(Ipv4.Loopback, second.Port, [2]);
        Assert.Equal([2], recorder.WaitFor(1)[^1].Bytes);
        Assert.Equal(1, loop.Run(() => deliveries));
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void An_endpoint_closed_by_another_ones_receiver_is_not_called_in_the_same_round(string transport)
    {
        using RunningLoop loop = new(transport);
        List<IUdpEndpoint> endpoints = [];
        List<IUdpEndpoint> called = [];
        DatagramRecorder closing = new((endpoint, _) =>
        {
            called.Add(endpoint);
            foreach (IUdpEndpoint other in endpoints.Where(other => other != endpoint))
                other.Dispose();
        });
        for (int i = 0; i < 8; i++)
            endpoints.Add(loop.Open(Ipv4.Loopback, closing));
        using UdpClientSocket client = new();

        loop.Hold(() =>
        {
            foreach (IUdpEndpoint endpoint in endpoints)
                client.Send(endpoint, [1]);
        });
        closing.WaitFor(1);

        IUdpEndpoint survivor = Assert.Single(loop.Run(() => called.ToArray()));
        client.Send(survivor, [2]);
        Assert.Equal([2], closing.WaitFor(2)[^1].Bytes);
        Assert.Empty(loop.Errors);
    }

    [Theory, EveryTransport]
    public void A_receiver_may_open_endpoints(string transport)
    {
        using RunningLoop loop = new(transport);
        DatagramRecorder session = new();
        DatagramRecorder herald = new((_, datagrams) =>
        {
            IUdpEndpoint opened = loop.Loop.Open(
                new() { Address = datagrams[0].Local, Port = 0, ReceiveBufferBytes = 1 << 20 }, session);
            opened.SendAcks(datagrams[0].Local, datagrams[0].Remote, datagrams[0].RemotePort, [1]);
        });
        IUdpEndpoint endpoint = loop.Open(Ipv4.Any, herald);
        using UdpClientSocket client = new();

        client.Send(s_loopback5, endpoint.Port, [1]);
        var ack = client.Receive();
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32BigEndian(ack.Bytes));
        Assert.NotEqual(endpoint.Port, ack.FromPort);

        client.Send(ack.From, ack.FromPort, [2]);
        Assert.Equal((s_loopback5, client.Port), (session.WaitFor(1)[0].Local, session.WaitFor(1)[0].RemotePort));
    }

    [Theory, EveryTransport]
    public void Endpoints_are_opened_on_the_loops_thread_only(string transport)
    {
        using RunningLoop loop = new(transport);
        Assert.Throws<InvalidOperationException>(() =>
            loop.Loop.Open(new() { Address = Ipv4.Loopback, Port = 0, ReceiveBufferBytes = 1 << 20 }, new DatagramRecorder()));
    }

    private static Ipv4 Parse(string text) => Ipv4.TryParse(text, out Ipv4 address) ? address : throw new FormatException(text);
}
