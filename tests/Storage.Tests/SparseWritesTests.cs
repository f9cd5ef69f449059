using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Storage.Tests;

public sealed class SparseWritesTests
{
    private const int PageBytes = SparseWrites.PageBytes;

    [Fact]
    public void A_page_of_zeros_between_others_is_left_out_whatever_the_slices()
    {
        byte[] content = Pages("x0y");
        foreach (int sliceBytes in (int[])[1, 1448, 4096, 5000, 65536])
        {
            var file = new ModelFile();
            file.Store(0, content, sliceBytes);
            Assert.Equal([(0, PageBytes), (2 * PageBytes, PageBytes)], file.Written);
            Assert.Equal(content, file.Read());
        }
    }

    [Fact]
    public void Zeros_at_the_end_lengthen_the_file()
    {
        var file = new ModelFile();
        file.Store(0, Pages("x00"), 1448);
        Assert.Equal(3 * PageBytes, file.Read().Length);
        Assert.Equal([(0, PageBytes)], file.Written);
        Assert.Null(file.Sparse.LengthBytes);
    }

    [Fact]
    public void Zeros_over_what_was_written_are_written()
    {
        var file = new ModelFile();
        file.Store(0, Pages("xxx"), 1448);
        file.Store(PageBytes, Pages("0"), 1448);
        Assert.Equal(Pages("x0x"), file.Read());
    }

    [Fact]
    public void Zeros_over_what_one_call_has_just_written_are_written()
    {
        byte[] content = Pages("x0");
        using var native = new NativeBytes(content);
        var file = new ModelFile();
        file.Store([native.Slice(0, 0, PageBytes), native.Slice(0, PageBytes, PageBytes)]);
        Assert.Equal(Pages("0"), file.Read());
    }

    [Fact]
    public void What_a_failed_write_may_have_changed_is_no_hole_later()
    {
        var file = new ModelFile { FailAfterBytes = 100 };
        file.Store(0, Pages("xx"), 1448);
        file.FailAfterBytes = null;
        file.Store(0, Pages("00"), 1448);
        Assert.Equal(Pages("00"), file.Read());
        Assert.Equal(2 * PageBytes, file.Written.Sum(written => written.Length) - 100);
    }

    [Fact]
    public void A_hole_before_a_write_that_fails_is_in_the_file()
    {
        using var native = new NativeBytes(Pages("0x"));
        var file = new ModelFile { FailAfterBytes = 0 };
        Assert.Equal(1, file.Store([native.Slice(0, 0, PageBytes), native.Slice(PageBytes, PageBytes, PageBytes)]));
        Assert.Equal(Pages("0"), file.Read());
    }

    [Fact]
    public void A_file_that_is_continued_has_no_holes_where_it_was()
    {
        var file = new ModelFile(Pages("xx")[..5000]);
        file.Store(PageBytes, Pages("000"), 1448);
        Assert.Equal(Pages("x000"), file.Read());
        Assert.Equal([(PageBytes, PageBytes)], file.Written);
    }

    [Fact]
    public void Parts_of_pages_are_written()
    {
        var file = new ModelFile();
        file.Store(10, new byte[PageBytes], 1448);
        Assert.Equal([(10, PageBytes)], file.Written);
    }

    [Fact]
    public unsafe void The_end_of_the_range_of_offsets_does_no_harm()
    {
        byte[] zeros = new byte[2 * PageBytes];
        using var native = new NativeBytes(zeros);
        foreach (ulong offset in (ulong[])[ulong.MaxValue, ulong.MaxValue - PageBytes + 1, ulong.MaxValue - 100, long.MaxValue - 4095ul])
        {
            WriteSlice[] slices = [native.Slice(offset, 0, zeros.Length)];
            var sparse = new SparseWrites(0);
            long bytes = 0;
            while (bytes < zeros.Length)
            {
                long extent = sparse.NextExtent(slices, 0, (int)bytes, out _);
                Assert.InRange(extent, 1, zeros.Length - bytes);
                bytes += extent;
            }
        }
    }

    /// <summary>Random slices over a small space, so that they overlap, arrive out of order and fail now and then.</summary>
    [Fact]
    public void Any_slices_give_the_file_that_plain_writes_give()
    {
        var slice = from offset in Gen.Frequency((3, Gen.Choose(0, 10).Select(page => page * PageBytes)), (1, Gen.Choose(0, 12 * PageBytes)), (6, Gen.Constant(-1)))
                    from length in Gen.Frequency((2, Gen.Elements(0, 1, 1448, 4096)), (1, Gen.Choose(0, 3 * PageBytes)))
                    from zero in Gen.Frequency((3, Gen.Constant(true)), (1, Gen.Constant(false)))
                    select (Offset: offset, Length: length, IsZero: zero);
        var call = from slices in slice.ListOf()
                   from fails in Gen.Frequency((6, Gen.Constant(-1)), (1, Gen.Choose(0, 5 * PageBytes)))
                   select (Slices: slices, FailAfter: fails);
        Prop.ForAll(call.ListOf().ToArbitrary(), calls =>
        {
            var sparse = new ModelFile();
            var plain = new ModelFile { IsPlain = true };
            foreach (var (slices, failAfter) in calls)
            {
                using var native = new NativeBytes([.. slices.SelectMany((s, i) => Enumerable.Repeat(s.IsZero ? (byte)0 : (byte)(1 + i % 255), s.Length))]);
                var writes = new List<WriteSlice>();
                int from = 0, at = 0;
                foreach (var s in slices)
                {
                    at = s.Offset < 0 ? at : s.Offset;
                    writes.Add(native.Slice((ulong)at, from, s.Length));
                    from += s.Length;
                    at += s.Length;
                }

                int stored = 0;
                if (failAfter >= 0)
                {
                    sparse.FailAfterBytes = failAfter;
                    stored = sparse.Store([.. writes]);
                    plain.Store([.. writes.Take(stored)]);
                    sparse.FailAfterBytes = null;
                    Assert.All(writes.Take(stored), write => Assert.True(write.Length == 0 || sparse.Read().LongLength >= (long)write.Offset + write.Length));
                }

                // The client sends again what was not acked.
                sparse.Store([.. writes.Skip(stored)]);
                plain.Store([.. writes.Skip(stored)]);
            }

            Assert.Equal(plain.Read(), sparse.Read());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    /// <summary>A page for each character: zeros for 0, else the character.</summary>
    private static byte[] Pages(string pages) => [.. pages.SelectMany(page => Enumerable.Repeat(page == '0' ? (byte)0 : (byte)page, PageBytes))];

    /// <summary>A file in memory and the loop that stores slices in it, as <see cref="DumpFile.Write"/> does.</summary>
    private sealed unsafe class ModelFile(byte[]? content = null)
    {
        private readonly byte[] _bytes = new byte[1 << 20];
        private long _length = content?.Length ?? 0;
        private bool _hasContent;

        public SparseWrites Sparse = new((ulong)(content?.Length ?? 0));

        public bool IsPlain { get; init; }

        /// <summary>So many bytes can be written, then the device is full.</summary>
        public long? FailAfterBytes { get; set; }

        /// <summary>Neighbouring writes joined.</summary>
        public List<(long Offset, long Length)> Written { get; } = [];

        public byte[] Read()
        {
            TakeContent();
            return _bytes[..(int)_length];
        }

        public void Store(long offset, byte[] bytes, int sliceBytes)
        {
            using var native = new NativeBytes(bytes);
            var slices = new List<WriteSlice>();
            for (int at = 0; at < bytes.Length; at += sliceBytes)
                slices.Add(native.Slice((ulong)(offset + at), at, Math.Min(sliceBytes, bytes.Length - at)));
            Store([.. slices]);
        }

        /// <returns>How many leading slices are stored.</returns>
        public int Store(WriteSlice[] slices)
        {
            int whole = StoreBytes(slices);
            if (Sparse.LengthBytes is ulong length)
            {
                _length = Math.Max(_length, (long)length);
                Sparse.OnLengthTried();
            }

            return whole;
        }

        private int StoreBytes(WriteSlice[] slices)
        {
            TakeContent();
            for (int whole = 0, skip = 0; ;)
            {
                while (whole < slices.Length && skip == slices[whole].Length)
                    (whole, skip) = (whole + 1, 0);
                if (whole == slices.Length)
                    return whole;

                bool isHole = false;
                long extent = IsPlain ? slices[whole].Length - skip : Sparse.NextExtent(slices, whole, skip, out isHole);
                while (extent > 0)
                {
                    int part = (int)Math.Min(extent, slices[whole].Length - skip);
                    if (!isHole && !TryWrite((long)slices[whole].Offset + skip, new(slices[whole].Data + skip, part)))
                        return whole;
                    extent -= part;
                    skip += part;
                    while (extent > 0 && skip == slices[whole].Length)
                        (whole, skip) = (whole + 1, 0);
                }
            }
        }

        private void TakeContent()
        {
            if (!_hasContent)
                content?.CopyTo(_bytes, 0);
            _hasContent = true;
        }

        private bool TryWrite(long offset, ReadOnlySpan<byte> bytes)
        {
            int count = (int)Math.Min(bytes.Length, FailAfterBytes ?? bytes.Length);
            FailAfterBytes -= count;
            bytes[..count].CopyTo(_bytes.AsSpan((int)offset));
            _length = Math.Max(_length, count > 0 ? offset + count : 0);
            Sparse.OnWritten((ulong)(count > 0 ? offset + count : 0));
            if (count > 0 && Written.Count > 0 && Written[^1].Offset + Written[^1].Length == offset)
                Written[^1] = (Written[^1].Offset, Written[^1].Length + count);
            else if (count > 0)
                Written.Add((offset, count));
            return count == bytes.Length;
        }
    }
}
