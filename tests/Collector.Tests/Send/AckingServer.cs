using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Tests.Send;

/// <summary>A collector reduced to its wire: acks every packet from one socket and keeps what came.</summary>
internal sealed class AckingServer : IDisposable
{
    private readonly Socket _heralds = Bind();
    private readonly Socket _session = Bind();
    private readonly Thread[] _threads;
    private readonly bool _shared;
    private volatile bool _stopping;

    /// <param name="shared">Answers from the herald port instead of a port for the session.</param>
    public AckingServer(bool shared)
    {
        _shared = shared;
        // Threads of its own: a busy thread pool must not look like a bad network.
        _threads = [new(() => Serve(_heralds)), new(() => Serve(_session))];
        foreach (var thread in _threads)
            thread.Start();
    }

    public ushort Port => (ushort)((IPEndPoint)_heralds.LocalEndPoint!).Port;

    /// <summary>What each client sent, by its address.</summary>
    public Dictionary<IPAddress, ReceivedDump> Dumps { get; } = [];

    /// <summary>Ends the server; <see cref="Dumps"/> may be read then.</summary>
    public void Stop()
    {
        _stopping = true;
        foreach (var thread in _threads)
            thread.Join();
    }

    public void Dispose()
    {
        Stop();
        _heralds.Dispose();
        _session.Dispose();
    }

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 8 << 20 };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private void Serve(Socket socket)
    {
        byte[] buffer = new byte[65536];
        while (!_stopping)
        {
            if (!socket.Poll(TimeSpan.FromMilliseconds(20), SelectMode.SelectRead))
                continue;

            EndPoint source = new IPEndPoint(IPAddress.Any, 0);
            var datagram = buffer.AsSpan(0, socket.ReceiveFrom(buffer, ref source));
            if (!MessageHeader.TryRead(datagram, out var header))
                continue;

            lock (Dumps)
            {
                var address = ((IPEndPoint)source).Address;
                if (!Dumps.TryGetValue(address, out var dump))
                    Dumps[address] = dump = new();
                dump.Add(header, datagram[MessageHeader.SizeBytes..]);
            }

            byte[] ack = [(byte)(header.Seqno >> 24), (byte)(header.Seqno >> 16), (byte)(header.Seqno >> 8), (byte)header.Seqno];
            (_shared ? socket : _session).SendTo(ack, source);
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
