using System.Net;
using System.Net.Sockets;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A name server that takes questions and never answers.</summary>
internal sealed class DeadResolver : IDisposable
{
    private const int DnsPort = 53;

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);

    /// <param name="address">Its own loopback address; the port is the one of all name servers.</param>
    public DeadResolver(string address)
    {
        Address = address;
        _socket.Bind(new IPEndPoint(IPAddress.Parse(address), DnsPort));
    }

    public string Address { get; }

    /// <summary>Somebody asked.</summary>
    public bool WasAsked => _socket.Available > 0;

    /// <summary>Files by which programs ask nobody else, and wait for minutes.</summary>
    public IEnumerable<(string Path, string Text)> Files =>
    [
        ("/etc/resolv.conf", $"nameserver {Address}\noptions timeout:30 attempts:5"),
        ("/etc/nsswitch.conf", "hosts: files dns"),
    ];

    public void Dispose() => _socket.Dispose();
}
