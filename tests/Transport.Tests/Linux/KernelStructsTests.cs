using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport.Linux;

namespace NetdumpCollector.Transport.Tests.Linux;

/// <summary>Sizes and offsets as a C compiler gives them for x86-64 and arm64.</summary>
public sealed unsafe class KernelStructsTests
{
    [Fact]
    public void Structures_have_the_size_that_the_kernel_expects()
    {
        Assert.Equal(16, sizeof(SocketAddress4));
        Assert.Equal(16, sizeof(MemoryPiece));
        Assert.Equal(56, sizeof(SocketMessage));
        Assert.Equal(64, sizeof(BatchedMessage));
        Assert.Equal(16, sizeof(ControlHeader));
        Assert.Equal(12, sizeof(PacketInfo));
        Assert.Equal(8, sizeof(FilterStep));
        Assert.Equal(16, sizeof(FilterProgram));
        Assert.Equal(16, sizeof(TimeSpec));
        Assert.Equal(RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16, EpollEvent.SizeBytes);
    }

    [Fact]
    public void Fields_lie_where_the_kernel_expects_them()
    {
        Assert.Equal(
            [0, 8, 16, 24, 32, 40, 48],
            Offsets<SocketMessage>("Name", "NameBytes", "Pieces", "PieceCount", "Control", "ControlBytes", "Flags"));
        Assert.Equal([0, 56], Offsets<BatchedMessage>("Message", "LengthBytes"));
        Assert.Equal([0, 8, 12], Offsets<ControlHeader>("LengthBytes", "Level", "Type"));
        Assert.Equal([0, 2, 3, 4], Offsets<FilterStep>("_code", "_jumpIfTrue", "_jumpIfFalse", "_operand"));
        Assert.Equal([0, 8], Offsets<TimeSpec>("Seconds", "Nanoseconds"));
        Assert.Equal([0, 8], Offsets<FilterProgram>("StepCount", "Steps"));
        Assert.Equal([0, 4, 8], Offsets<PacketInfo>("Interface", "SourceBigEndian", "DestinationBigEndian"));
    }

    [Fact]
    public void Socket_addresses_are_big_endian()
    {
        SocketAddress4 address = new(new Ipv4(0x7f000005), 20023);
        Assert.Equal([2, 0, 0x4e, 0x37, 127, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0], new Span<byte>(&address, sizeof(SocketAddress4)).ToArray());
        Assert.Equal((new Ipv4(0x7f000005), (ushort)20023), (address.Address, address.Port));
    }

    [Fact]
    public void Epoll_keys_are_read_back()
    {
        byte[] events = new byte[3 * EpollEvent.MaxSizeBytes];
        fixed (byte* start = events)
        {
            for (int i = 0; i < 3; i++)
                EpollEvent.Write(start + i * EpollEvent.SizeBytes, Libc.EpollIn, 0x1122334455667788 + (ulong)i);
            for (int i = 0; i < 3; i++)
                Assert.Equal(0x1122334455667788 + (ulong)i, EpollEvent.ReadKey(start, i));
        }
    }

    private static int[] Offsets<T>(params string[] fields) => [.. fields.Select(field => (int)Marshal.OffsetOf<T>(field))];
}
