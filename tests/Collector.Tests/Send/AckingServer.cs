using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Tests.Send;

/// <summary>A collector reduced to its wire: acks every packet from one socket and keeps what came.</summary>
internal sealed class AckingServer : IDisposable
{
    private readonly Socket _heralds = Bind();
    private readonly Socket _session = Bind();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly bool _shared;

    /// <param name="shared">Answers from the herald port instead of a port for the session.</param>
    public AckingServer(bool shared)
    {
        _shared = shared;
        _running = Task.WhenAll(ServeAsync(_heralds), ServeAsync(_session));
    }

    public ushort Port => (ushort)((IPEndPoint)_heralds.LocalEndPoint!).Port;

    /// <summary>What each client sent, by its address.</summary>
    public Dictionary<IPAddress, ReceivedDump> Dumps { get; } = [];

    /// <summary>Ends the server; <see cref="Dumps"/> may be read then.</summary>
    public void Stop()
    {
        _stop.Cancel();
        _running.GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        Stop();
        _heralds.Dispose();
        _session.Dispose();
        _stop.Dispose();
    }

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 8 << 20 };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private async Task ServeAsync(Socket socket)
    {
        byte[] buffer = new byte[65536];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), _stop.Token);
                var datagram = buffer.AsMemory(0, received.ReceivedBytes);
                if (!MessageHeader.TryRead(datagram.Span, out var header))
                    continue;

                var client = (IPEndPoint)received.RemoteEndPoint;
                lock (Dumps)
                {
                    if (!Dumps.TryGetValue(client.Address, out var dump))
                        Dumps[client.Address] = dump = new();
                    dump.Add(header, datagram.Span[MessageHeader.SizeBytes..]);
                }

                byte[] ack = [(byte)(header.Seqno >> 24), (byte)(header.Seqno >> 16), (byte)(header.Seqno >> 8), (byte)header.Seqno];
                await (_shared ? socket : _session).SendToAsync(ack, client, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>The messages of one client, put together.</summary>
    internal sealed class ReceivedDump
    {
        public byte[] Content { get; private set; } = [];
        public byte[] Key { get; private set; } = [];
        public KernelDumpHeader? Header { get; private set; }
        public string Path { get; private set; } = "";
        public bool Finished { get; private set; }

        /// <summary>Types in the order of their first packets.</summary>
        public List<MessageType> Order { get; } = [];

        public void Add(MessageHeader header, ReadOnlySpan<byte> payload)
        {
            if (!Order.Contains(header.Type))
                Order.Add(header.Type);
            switch (header.Type)
            {
                case MessageType.Herald: Path = System.Text.Encoding.UTF8.GetString(payload.TrimEnd((byte)0)); break;
                case MessageType.Vmcore: Content = Put(Content, header.Offset, payload); break;
                case MessageType.EkcdKey: Key = Put(Key, header.Offset, payload); break;
                case MessageType.Kdh: Header = KernelDumpHeader.Read(payload); break;
                case MessageType.Finished: Finished = true; break;
            }
        }

        private static byte[] Put(byte[] bytes, ulong offset, ReadOnlySpan<byte> payload)
        {
            int end = (int)offset + payload.Length;
            if (bytes.Length < end)
                Array.Resize(ref bytes, end);
            payload.CopyTo(bytes.AsSpan((int)offset));
            return bytes;
        }
    }
}
