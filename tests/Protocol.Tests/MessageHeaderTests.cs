using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests;

public sealed class MessageHeaderTests
{
    private static readonly byte[] s_vmcoreWithThreeBytes =
    [
        0, 0, 0, 3,
        0x01, 0x02, 0x03, 0x04,
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        0, 0, 0, 3,
        0, 0, 0, 0,
        0xaa, 0xbb, 0xcc,
    ];

    [Fact]
    public void Reads_every_field_big_endian()
    {
        Assert.True(MessageHeader.TryRead(s_vmcoreWithThreeBytes, out var header));
        Assert.Equal(new(MessageType.Vmcore, 0x01020304, 0x1112131415161718, 3), header);
    }

    [Fact]
    public void Writes_every_field_big_endian_and_aux2_as_zero()
    {
        byte[] datagram = new byte[MessageHeader.SizeBytes + 3];
        datagram.AsSpan().Fill(0xff);
        new MessageHeader(MessageType.Vmcore, 0x01020304, 0x1112131415161718, 3).Write(datagram);
        Assert.Equal(s_vmcoreWithThreeBytes[..MessageHeader.SizeBytes], datagram[..MessageHeader.SizeBytes]);
        Assert.Equal([0xff, 0xff, 0xff], datagram[MessageHeader.SizeBytes..]);
    }

    [Fact]
    public void A_datagram_shorter_than_a_header_is_no_message()
    {
        for (int length = 0; length < MessageHeader.SizeBytes; length++)
            Assert.False(MessageHeader.TryRead(new byte[length], out _));
    }

    [Fact]
    public void A_header_alone_is_a_message_without_payload()
    {
        Assert.True(MessageHeader.TryRead(new byte[MessageHeader.SizeBytes], out var header));
        Assert.Equal(0u, header.Length);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(0)]
    [InlineData(0x80000003)]
    [InlineData(uint.MaxValue)]
    public void A_datagram_whose_length_disagrees_with_its_header_is_no_message(uint announced)
    {
        byte[] datagram = [.. s_vmcoreWithThreeBytes];
        new MessageHeader(MessageType.Vmcore, 1, 0, announced).Write(datagram);
        Assert.False(MessageHeader.TryRead(datagram, out _));
    }

    [Fact]
    public void What_is_written_is_read_back() =>
        Prop.ForAll(
            ArbMap.Default.GeneratorFor<(uint Type, uint Seqno, ulong Offset)>().Zip(Gen.Choose(0, 9000)).ToArbitrary(),
            message =>
            {
                var ((type, seqno, offset), length) = message;
                var written = new MessageHeader((MessageType)type, seqno, offset, (uint)length);
                byte[] datagram = new byte[MessageHeader.SizeBytes + length];
                written.Write(datagram);
                return MessageHeader.TryRead(datagram, out var read) && read == written;
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void Any_bytes_are_a_message_exactly_when_their_length_is_the_announced_one() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            bool expected = bytes.Length >= MessageHeader.SizeBytes
                && ((uint)bytes[16] << 24 | (uint)bytes[17] << 16 | (uint)bytes[18] << 8 | bytes[19]) == bytes.Length - MessageHeader.SizeBytes;
            return MessageHeader.TryRead(bytes, out _) == expected;
        }).QuickCheckThrowOnFailure();
}
