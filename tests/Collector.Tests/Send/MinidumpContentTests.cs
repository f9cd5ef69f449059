using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Collector.Send;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Collector.Tests.Send;

public sealed class MinidumpContentTests
{
    private const int PageBytes = WellKnown.PageBytes;

    [Fact]
    public void It_starts_with_an_amd64_minidump_header_and_the_panic()
    {
        byte[] bytes = Read(new(1 << 20, 0, "web1", "out of coffee"), 0, 1 << 20);

        Assert.Equal("minidump FreeBSD/amd64\0\0", Encoding.ASCII.GetString(bytes, 0, 24));
        Assert.Equal(3u, Word(bytes, 24));
        uint messageBytes = Word(bytes, 28);
        string messages = Encoding.UTF8.GetString(bytes, PageBytes, (int)messageBytes);
        Assert.Contains("\npanic: out of coffee\n", messages, StringComparison.Ordinal);
        Assert.Contains("web1", messages, StringComparison.Ordinal);
    }

    [Fact]
    public void The_panic_is_known_while_it_arrives()
    {
        using var peek = new PanicPeek(new());
        peek.Feed(Read(new(1 << 20, 0, "web1", "out of coffee"), 0, 2 * WellKnown.BurstBytes));
        Assert.True(peek.IsOver);
        Assert.Equal("out of coffee", peek.Message);
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData(16 << 20)]
    public void Its_start_tells_how_long_it_is(int size)
    {
        byte[] bytes = Read(new(size, 0, "web1", "p"), 0, size);
        var extent = Assert.NotNull(MinidumpExtent.Read(bytes));
        Assert.Equal((ulong)size, extent.TotalBytes(MinidumpExtent.CountPages(bytes.AsSpan((int)extent.Bitmap.Start, (int)extent.Bitmap.Length))));
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData(16 << 20)]
    [InlineData((16 << 20) + 5)]
    public void The_bitmap_has_one_bit_for_each_page_that_follows(int size)
    {
        byte[] bytes = Read(new(size, 0, "web1", "p"), 0, size);
        int bitmapStart = PageBytes + Pages(Word(bytes, 28)) + Pages(Word(bytes, 64));
        int bitmapBytes = (int)Word(bytes, 32);
        int pagesStart = bitmapStart + Pages(Word(bytes, 32)) + Pages(Word(bytes, 36));

        int bits = bytes.AsSpan(bitmapStart, bitmapBytes).ToArray().Sum(value => BitOperations.PopCount(value));
        Assert.Equal((size - pagesStart) / PageBytes, bits);
        ulong memoryEnd = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(bitmapStart - Pages(Word(bytes, 64)) + 8));
        Assert.True(memoryEnd / (ulong)PageBytes <= (ulong)bitmapBytes * 8);
    }

    [Fact]
    public void Any_piece_is_the_same_as_in_the_whole()
    {
        const int Size = 200_000;
        var content = new MinidumpContent(Size, 3, "h", "p");
        byte[] whole = Read(content, 0, Size);

        Prop.ForAll(Gen.Choose(0, Size - 1).ToArbitrary(), Gen.Choose(0, 70_000).ToArbitrary(), (start, length) =>
        {
            length = Math.Min(length, Size - start);
            return Read(content, start, length).AsSpan().SequenceEqual(whole.AsSpan(start, length));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Clients_send_different_dumps()
    {
        byte[] first = Read(new(1 << 20, 0, "h", "p"), 0, 1 << 20);
        byte[] second = Read(new(1 << 20, 1, "h", "p"), 0, 1 << 20);

        Assert.False(first.AsSpan(0, 70_000).SequenceEqual(second.AsSpan(0, 70_000)));
        Assert.False(first.AsSpan(900_000).SequenceEqual(second.AsSpan(900_000)));
    }

    private static byte[] Read(MinidumpContent content, int start, int length)
    {
        byte[] bytes = new byte[length];
        content.Fill((ulong)start, bytes);
        return bytes;
    }

    private static uint Word(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static int Pages(uint bytes) => (int)((bytes + PageBytes - 1) / PageBytes * PageBytes);
}
