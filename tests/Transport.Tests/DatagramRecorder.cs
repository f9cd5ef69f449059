using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>A datagram that was delivered, with a copy of its bytes.</summary>
internal sealed record Delivered(byte[] Bytes, Ipv4 Remote, ushort RemotePort, Ipv4 Local, int Delivery);

/// <summary>Keeps what it is given, after passing it to <paramref name="then"/>.</summary>
internal sealed class DatagramRecorder(DatagramRecorder.Reaction? then = null) : IDatagramReceiver
{
    private readonly List<Delivered> _delivered = [];
    private int _deliveries;

    public delegate void Reaction(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams);

    public int Count
    {
        get
        {
            lock (_delivered)
                return _delivered.Count;
        }
    }

    public void OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
    {
        then?.Invoke(endpoint, datagrams);
        lock (_delivered)
        {
            foreach (ref readonly Datagram datagram in datagrams)
                _delivered.Add(new(datagram.Span.ToArray(), datagram.Remote, datagram.RemotePort, datagram.Local, _deliveries));
            _deliveries++;
            Monitor.PulseAll(_delivered);
        }
    }

    /// <summary>Waits until <paramref name="count"/> datagrams were delivered and returns all that were.</summary>
    public Delivered[] WaitFor(int count)
    {
        long endMs = Environment.TickCount64 + (long)RunningLoop.Deadline.TotalMilliseconds;
        lock (_delivered)
        {
            while (_delivered.Count < count)
            {
                long leftMs = endMs - Environment.TickCount64;
                Assert.True(leftMs > 0 && Monitor.Wait(_delivered, (int)leftMs), $"{_delivered.Count} of {count} datagrams were delivered");
            }
            return [.. _delivered];
        }
    }
}
