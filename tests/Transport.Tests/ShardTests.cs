using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>Sockets of several loops on one port.</summary>
public sealed class ShardTests
{
    public static TheoryData<int, string> Groups => new()
    {
        { 2, "0.0.0.0" },
        { 2, "127.0.0.1" },
        { 3, "0.0.0.0" },
        { 3, "127.0.0.1" },
        { 4, "0.0.0.0" },
        { 4, "127.0.0.1" },
    };

    [LinuxTheory, MemberData(nameof(Groups))]
    public void What_a_host_sends_comes_to_its_shard(int shards, string address)
    {
        const int Sources = 64;
        const int SegmentBytes = 100;
        const int Segments = 20;
        using ShardGroup group = new(shards, Parse(address));
        UdpClientSocket[] clients = [.. Enumerable.Range(0, Sources).Select(i => new UdpClientSocket($"127.{i % 3}.{i % 5}.{i + 1}"))];

        foreach (UdpClientSocket client in clients)
        {
            client.Send(Ipv4.Loopback, group.Port, [1]);
            client.SendTrain(Ipv4.Loopback, group.Port, new byte[Segments * SegmentBytes], SegmentBytes);
        }

        for (int shard = 0; shard < shards; shard++)
        {
            Ipv4[] expected = [.. clients.Select(client => client.Address).Where(remote => SourceShards.ShardOf(remote, shards) == shard)];
            Assert.NotEmpty(expected);
            Delivered[] delivered = group.Recorders[shard].WaitFor(expected.Length * (1 + Segments));
            Assert.Equal(expected.ToHashSet(), delivered.Select(datagram => datagram.Remote).ToHashSet());
            Assert.Equal(expected.Length * (1 + Segments), delivered.Length);
        }
        Array.ForEach(clients, client => client.Dispose());
    }

    [LinuxTheory, MemberData(nameof(Groups))]
    public void The_port_of_a_group_is_taken_for_everybody_else(int shards, string address)
    {
        using ShardGroup group = new(shards, Parse(address));
        using RunningLoop loop = new("linux");

        foreach (int others in (int[])[1, 2, shards])
        {
            EndpointException failure = Assert.Throws<EndpointException>(() =>
                loop.Open(new() { Address = Parse(address), Port = group.Port, ReceiveBufferBytes = 1 << 20, Shards = others }, new DatagramRecorder()));
            Assert.Equal(EndpointError.PortTaken, failure.Error);
        }
    }

    [LinuxFact]
    public void A_port_that_somebody_shares_is_taken_for_a_group()
    {
        using Socket holder = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        // SOL_SOCKET, SO_REUSEPORT.
        holder.SetRawSocketOption(1, 15, BitConverter.GetBytes(1));
        holder.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using RunningLoop loop = new("linux");

        EndpointException failure = Assert.Throws<EndpointException>(() => loop.Open(
            new() { Address = Ipv4.Loopback, Port = (ushort)((IPEndPoint)holder.LocalEndPoint!).Port, ReceiveBufferBytes = 1 << 20, Shards = 2 },
            new DatagramRecorder()));

        Assert.Equal(EndpointError.PortTaken, failure.Error);
    }

    [LinuxFact]
    public void Nothing_is_lost_while_not_all_shards_are_open()
    {
        using ShardGroup group = new(shards: 4, Ipv4.Loopback, open: 2);
        UdpClientSocket[] clients = [.. Enumerable.Range(1, 64).Select(i => new UdpClientSocket($"127.0.0.{i}"))];

        foreach (UdpClientSocket client in clients)
            client.Send(Ipv4.Loopback, group.Port, [1]);

        Assert.True(SpinWait.SpinUntil(() => group.Recorders.Sum(recorder => recorder.Count) == clients.Length, RunningLoop.Deadline));
        foreach (int shard in (int[])[0, 1])
        {
            HashSet<Ipv4> remotes = [.. group.Recorders[shard].WaitFor(0).Select(datagram => datagram.Remote)];
            Assert.Superset(clients.Select(client => client.Address).Where(remote => SourceShards.ShardOf(remote, 4) == shard).ToHashSet(), remotes);
        }
        Array.ForEach(clients, client => client.Dispose());
    }

    [Fact]
    public void The_portable_transport_refuses_to_share_a_port()
    {
        using RunningLoop loop = new("portable");

        EndpointException failure = Assert.Throws<EndpointException>(() =>
            loop.Open(new() { Address = Ipv4.Loopback, Port = 0, ReceiveBufferBytes = 1 << 20, Shards = 2 }, new DatagramRecorder()));

        Assert.Equal(EndpointError.Other, failure.Error);
        Assert.Contains("portable transport", failure.Message, StringComparison.Ordinal);
        Assert.All(Transports.Available, transport => Assert.Equal(transport.Name == "linux", transport.CanShard));
    }

    private static Ipv4 Parse(string text) => Ipv4.TryParse(text, out Ipv4 address) ? address : throw new FormatException(text);

    private sealed class ShardGroup : IDisposable
    {
        private readonly RunningLoop[] _loops;

        public ShardGroup(int shards, Ipv4 address, int? open = null)
        {
            _loops = [.. Enumerable.Range(0, open ?? shards).Select(_ => new RunningLoop("linux"))];
            Recorders = [.. _loops.Select(_ => new DatagramRecorder())];
            for (int shard = 0; shard < _loops.Length; shard++)
            {
                EndpointOptions options = new() { Address = address, Port = Port, ReceiveBufferBytes = 4 << 20, Shards = shards, Shard = shard };
                IUdpEndpoint endpoint = _loops[shard].Open(options, Recorders[shard]);
                Assert.True(shard == 0 || endpoint.Port == Port);
                Port = endpoint.Port;
            }
        }

        public ushort Port { get; }

        public DatagramRecorder[] Recorders { get; }

        public void Dispose() => Array.ForEach(_loops, loop => loop.Dispose());
    }
}
