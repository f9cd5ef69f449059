using System.Runtime.Versioning;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Takeover;

/// <summary>Hosts that send packets of dumps which nobody has, over and over.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class JunkStorm : IDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(20);

    private readonly WireClient[] _hosts;
    private readonly Thread _sender;
    private volatile bool _isOver;

    /// <param name="server">Where to.</param>
    /// <param name="port">The herald port.</param>
    /// <param name="hosts">How many; each sends fifty packets a second.</param>
    public JunkStorm(Ipv4 server, ushort port, int hosts)
    {
        _hosts = [.. Enumerable.Range(0, hosts).Select(_ => new WireClient(RunningCollector.NextAddress(), 20026, server, port))];
        byte[] packet = TestDump.Message(MessageType.Vmcore, 1000, 1 << 20, new byte[TestDump.PayloadBytes]);
        _sender = new(() =>
        {
            for (; !_isOver; Thread.Sleep(s_interval))
            {
                foreach (var host in _hosts)
                    host.Send(packet, port);
            }
        });
        _sender.Start();
    }

    public void Dispose()
    {
        _isOver = true;
        _sender.Join();
        foreach (var host in _hosts)
            host.Dispose();
    }
}
