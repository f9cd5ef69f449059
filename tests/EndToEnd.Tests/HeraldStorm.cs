using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Sends heralds from thousands of addresses that never send anything else, as somebody does who makes addresses up.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class HeraldStorm : IDisposable
{
    private const int PerSecond = 5000;

    /// <summary>127.192.0.0/10: neither servers nor clients of these tests are there.</summary>
    private const uint FirstAddress = (127u << 24) + (192u << 16);
    private const int Addresses = 1 << 22;

    private readonly CancellationTokenSource _stop = new();
    private readonly IPEndPoint _server;
    private readonly Thread _thread;
    private Exception? _failure;
    private int _sent;
    private double _perSecond;

    public HeraldStorm(Collector collector)
    {
        _server = new(IPAddress.Parse(collector.Address), collector.Port);
        _thread = new(Run) { IsBackground = true, Name = "storm" };
        _thread.Start();
    }

    public int Sent => Volatile.Read(ref _sent);

    /// <summary>Ends the storm.</summary>
    /// <returns>Heralds sent per second.</returns>
    public double Stop()
    {
        _stop.Cancel();
        _thread.Join();
        Assert.Null(_failure);
        return _perSecond;
    }

    public void Dispose()
    {
        _stop.Cancel();
        _thread.Join();
        _stop.Dispose();
    }

    private void Run()
    {
        try
        {
            byte[] herald = TestDump.Herald();
            var random = new Random(1);
            long start = Stopwatch.GetTimestamp();
            while (!_stop.IsCancellationRequested)
            {
                int due = (int)(Stopwatch.GetElapsedTime(start).TotalSeconds * PerSecond);
                while (_sent < due && !_stop.IsCancellationRequested)
                {
                    var address = new Ipv4(FirstAddress + (uint)random.Next(1, Addresses - 1));
                    using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
                    socket.Bind(new IPEndPoint(address.ToIPAddress(), 0));
                    socket.SendTo(herald, _server);
                    Volatile.Write(ref _sent, _sent + 1);
                }

                _stop.Token.WaitHandle.WaitOne(1);
            }

            _perSecond = _sent / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        catch (SocketException e)
        {
            _failure = e;
        }
    }
}
