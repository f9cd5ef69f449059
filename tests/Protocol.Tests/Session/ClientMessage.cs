using System.Text;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>One datagram of a client, taken apart.</summary>
internal sealed record ClientMessage(MessageType Type, uint Seqno, ulong Offset, byte[] Payload)
{
    public static ClientMessage Herald(string path = "", uint seqno = 1, ulong offset = 0) => new(MessageType.Herald, seqno, offset, Encoding.UTF8.GetBytes(path));

    public static ClientMessage Vmcore(uint seqno, ulong offset, byte[] payload) => new(MessageType.Vmcore, seqno, offset, payload);

    public static ClientMessage Kdh(uint seqno, byte[] raw) => new(MessageType.Kdh, seqno, 0, raw);

    public static ClientMessage Key(uint seqno, ulong offset, byte[] payload) => new(MessageType.EkcdKey, seqno, offset, payload);

    public static ClientMessage Finished(uint seqno) => new(MessageType.Finished, seqno, 0, []);

    public MessageHeader Header => new(Type, Seqno, Offset, (uint)Payload.Length);

    public override string ToString() => $"{Type} {Seqno} at {Offset} of {Payload.Length}";
}
