using NetdumpCollector.Protocol;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The header that starts every datagram.</summary>
internal sealed class MessageTarget : FuzzTarget
{
    public override string Name => "message";

    public override int TestInputs => 200_000;

    public override int MaxInputBytes => 128;

    public override long MostAllocatedBytes(int inputBytes) => 0;

    public override IEnumerable<byte[]> Seeds()
    {
        foreach (var type in (MessageType[])[MessageType.Herald, MessageType.Vmcore, MessageType.Kdh, MessageType.EkcdKey, MessageType.Finished])
        {
            byte[] datagram = new byte[MessageHeader.SizeBytes + 16];
            new MessageHeader(type, 5, 65536, 16).Write(datagram);
            yield return datagram;
        }
    }

    public override void Repair(Span<byte> input)
    {
        if (input.Length >= MessageHeader.SizeBytes)
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(input[16..], (uint)(input.Length - MessageHeader.SizeBytes));
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        bool isMessage = MessageHeader.TryRead(input, out var header);
        run.Leave();
        run.Saw(0, isMessage ? 1 : 0, Math.Min((long)header.Type, 8));
        if (!isMessage)
            return;

        Check(header.Length == input.Length - MessageHeader.SizeBytes, "a message's length is its datagram's");
        Span<byte> again = stackalloc byte[MessageHeader.SizeBytes];
        header.Write(again);
        Check(again[..20].SequenceEqual(input[..20]), "a header that was read is written as it was");
    }
}
