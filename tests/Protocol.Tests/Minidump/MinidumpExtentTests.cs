using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Protocol.Tests.Minidump;

public sealed class MinidumpExtentTests
{
    private static readonly Gen<byte[]> s_bitmaps = Gen.Choose(1, 40).SelectMany(bytes => Gen.Choose(0, 255).ArrayOf(bytes)).Select(values => Array.ConvertAll(values, value => (byte)value));

    [Fact]
    public void The_length_of_every_kind_of_dump_is_told_by_its_start() =>
        Prop.ForAll(Gen.Elements<MinidumpKind>(SampleMinidump.Kinds).ToArbitrary(), s_bitmaps.ToArbitrary(), Gen.Choose(1, 60_000).Zip(Gen.Choose(0, 20_000)).ToArbitrary(), (kind, bitmap, sizes) =>
        {
            byte[] dump = SampleMinidump.Whole(kind, sizes.Item1, bitmap, sizes.Item2);
            Assert.Equal((ulong)dump.Length, LengthOf(dump));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Any_pieces_of_the_bitmap_give_the_same_number_of_pages() =>
        Prop.ForAll(s_bitmaps.ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(), (bitmap, piece) =>
        {
            ulong pages = 0;
            foreach (byte[] part in bitmap.Chunk(piece))
                pages += MinidumpExtent.CountPages(part);
            Assert.Equal(MinidumpExtent.CountPages(bitmap), pages);
        }).QuickCheckThrowOnFailure();

    /// <summary>The captured start ends before the bitmap, which is made up: only with a whole number of pages, for which it has room, can the lengths agree.</summary>
    [Fact]
    public void A_real_dump_has_the_length_that_its_kernel_named()
    {
        byte[] start = GoldenFiles.Read("head-none-none.bin");
        ulong dumpLength = BinaryPrimitives.ReadUInt64BigEndian(GoldenFiles.Read("kdh-none-none.bin").AsSpan(40));

        var extent = Assert.NotNull(MinidumpExtent.Read(start));

        Assert.Equal(new(WellKnown.PageBytes + 98304 + WellKnown.PageBytes, WellKnown.PageBytes + 98304 + WellKnown.PageBytes + 8192), extent.Bitmap);
        ulong pages = (dumpLength - extent.BytesBeforePages) / WellKnown.PageBytes;
        Assert.InRange(pages, 1ul, extent.Bitmap.Length * 8);
        byte[] bitmap = new byte[extent.Bitmap.Length];
        for (ulong page = 0; page < pages; page++)
            bitmap[page / 8] |= (byte)(1 << (int)(page % 8));
        Assert.Equal(dumpLength, extent.TotalBytes(MinidumpExtent.CountPages(bitmap)));
    }

    [Theory]
    [InlineData("head-gzip-none.bin")]
    [InlineData("head-zstd-none.bin")]
    [InlineData("head-none-aes.bin")]
    [InlineData("head-none-chacha.bin")]
    public void What_the_kernel_compressed_or_encrypted_tells_no_length(string name) => Assert.Null(MinidumpExtent.Read(GoldenFiles.Read(name)));

    [Theory]
    [InlineData(24, 0)]
    [InlineData(24, 4)]
    [InlineData(28, 0)]
    [InlineData(32, 0)]
    [InlineData(32, (int)MinidumpExtent.MaxBitmapBytes + 1)]
    [InlineData(32, -1)]
    [InlineData(64, (int)MinidumpExtent.MaxDumpAvailBytes + 1)]
    [InlineData(64, -1)]
    public void What_no_kernel_writes_tells_no_length(int at, int value)
    {
        byte[] dump = SampleMinidump.Whole(new("amd64", 3, DumpAvailAt: 64), 8192, [1], 4096);
        Assert.NotNull(MinidumpExtent.Read(dump));
        BinaryPrimitives.WriteInt32LittleEndian(dump.AsSpan(at), value);
        Assert.Null(MinidumpExtent.Read(dump));
    }

    [Fact]
    public void Any_header_is_harmless() =>
        Prop.ForAll(Gen.Elements<MinidumpKind>(SampleMinidump.Kinds).ToArbitrary(), Gen.Choose(24, MinidumpExtent.HeaderBytes - 4).Zip(Gen.Choose(int.MinValue, int.MaxValue)).ArrayOf().ToArbitrary(), (kind, changes) =>
        {
            byte[] start = SampleMinidump.Whole(kind, 4096, [1], 4096)[..MinidumpExtent.HeaderBytes];
            foreach (var (at, value) in changes)
                BinaryPrimitives.WriteInt32LittleEndian(start.AsSpan(at), value);
            if (MinidumpExtent.Read(start) is not { } extent)
                return;

            ulong most = extent.TotalBytes(extent.Bitmap.Length * 8);
            Assert.True(extent.Bitmap.Start < extent.Bitmap.End && extent.Bitmap.Length <= MinidumpExtent.MaxBitmapBytes);
            Assert.True(extent.Bitmap.End <= extent.BytesBeforePages && extent.BytesBeforePages < most && most < long.MaxValue);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_piece_of_the_header_tells_nothing()
    {
        byte[] dump = SampleMinidump.Whole(new("powerpc64", 2, DumpAvailAt: 136), 8192, [1], 4096);
        for (int length = 0; length < MinidumpExtent.HeaderBytes; length++)
            Assert.Null(MinidumpExtent.Read(dump.AsSpan(0, length)));
    }

    private static ulong LengthOf(byte[] dump)
    {
        var extent = Assert.NotNull(MinidumpExtent.Read(dump));
        return extent.TotalBytes(MinidumpExtent.CountPages(dump.AsSpan((int)extent.Bitmap.Start, (int)extent.Bitmap.Length)));
    }
}
