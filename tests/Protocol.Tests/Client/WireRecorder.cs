using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Protocol.Tests.Client;

/// <summary>Keeps what a client sends.</summary>
internal sealed class WireRecorder : IPacketSink
{
    public List<byte[]> Datagrams { get; } = [];

    public IEnumerable<MessageHeader> Headers => Datagrams.Select(Header);

    public void Send(ReadOnlySpan<byte> datagram) => Datagrams.Add(datagram.ToArray());

    /// <summary>The headers of what came since the last call.</summary>
    public MessageHeader[] Take()
    {
        MessageHeader[] headers = [.. Headers];
        Datagrams.Clear();
        return headers;
    }

    public static MessageHeader Header(byte[] datagram)
    {
        Assert.True(MessageHeader.TryRead(datagram, out var header));
        return header;
    }
}
