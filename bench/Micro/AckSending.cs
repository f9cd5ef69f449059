using System.Net;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport.Linux;

namespace NetdumpCollector.Micro;

/// <summary>Encoding the acks of a burst and handing them to the kernel, which delivers them over loopback; Linux only.</summary>
public class AckSending : IDisposable
{
    private readonly uint[] _seqnos = [.. Enumerable.Range(2, 46).Select(seqno => (uint)seqno)];
    private readonly Ipv4 _loopback = new(127u << 24 | 1);
    private MessageSender? _sender;
    private Socket? _from;
    private Socket? _to;
    private int _descriptor;
    private ushort _port;
    private bool _canSegment;

    [GlobalSetup]
    public void Open()
    {
        _sender = new();
        _from = Bound();
        _to = Bound();
        _descriptor = (int)_from.Handle;
        _port = (ushort)((IPEndPoint)_to.LocalEndPoint!).Port;
    }

    [GlobalCleanup]
    public void Dispose()
    {
        GC.SuppressFinalize(this);
        _sender?.Dispose();
        _from?.Dispose();
        _to?.Dispose();
    }

    /// <summary>One sendmsg that the kernel cuts into datagrams.</summary>
    [Benchmark(Baseline = true)]
    public bool Segmented()
    {
        _canSegment = true;
        _sender!.SendAcks(_descriptor, Ipv4.Any, _loopback, _port, _seqnos, ref _canSegment);
        return _canSegment;
    }

    /// <summary>One sendmmsg, where the kernel does not cut.</summary>
    [Benchmark]
    public bool EachAlone()
    {
        _canSegment = false;
        _sender!.SendAcks(_descriptor, Ipv4.Any, _loopback, _port, _seqnos, ref _canSegment);
        return _canSegment;
    }

    private static Socket Bound()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }
}
