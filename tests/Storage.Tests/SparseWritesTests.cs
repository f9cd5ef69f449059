using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests;

public sealed partial class SparseWritesTests
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

    /// <summary>As packets come that are handled one by one: hardly one holds a page.</summary>
    [Theory]
    [InlineData("x0y", 1)]
    [InlineData("x0y", 1448)]
    [InlineData("00x00y000", 1448)]
    [InlineData("x0y", 5000)]
    public void A_page_of_zeros_is_left_out_whatever_its_parts_come_with(string pages, int batchBytes)
    {
        byte[] content = Pages(pages);
        var file = new ModelFile();
        for (int at = 0; at < content.Length; at += batchBytes)
        {
            file.Store(at, content[at..Math.Min(content.Length, at + batchBytes)], 1448);
            Assert.Equal(Math.Min(content.Length, at + batchBytes), file.Read().Length);
        }

        Assert.Equal(pages.Select((page, i) => (Page: page, Offset: (long)i * PageBytes)).Where(p => p.Page != '0').Select(p => (p.Offset, (long)PageBytes)), file.Written);
        Assert.Equal(content, file.Read());
    }

    [Fact]
    public void Parts_of_a_page_are_written_from_the_first_that_is_not_zero()
    {
        byte[] content = new byte[2 * PageBytes];
        content[3000] = 1;
        var file = new ModelFile();
        for (int at = 0; at < content.Length; at += 1024)
            file.Store(at, content[at..(at + 1024)], 1024);
        Assert.Equal([(2048, 1024)], file.Written);
        Assert.Equal(content, file.Read());
    }

    [Fact]
    public void Zeros_inside_a_page_do_not_split_a_write()
    {
        byte[] content = new byte[(2 * PageBytes) + 200];
        content[100] = content[(2 * PageBytes) - 1] = content[(2 * PageBytes) + 100] = 1;
        using var native = new NativeBytes(content);
        foreach (int sliceBytes in (int[])[1, 1448, 65536])
        {
            var slices = content.Chunk(sliceBytes).Select((chunk, i) => native.Slice((ulong)(i * sliceBytes), i * sliceBytes, chunk.Length)).ToArray();
            Assert.Equal((content.Length, false), (new SparseWrites(0).NextExtent(slices, 0, 0, out bool isHole), isHole));
        }
    }

    [Fact]
    public void Zeros_that_come_again_or_late_are_left_out_while_nothing_was_written_behind_them()
    {
        var file = new ModelFile();
        file.Store(2 * PageBytes, Pages("00"), 1448);
        file.Store(PageBytes, Pages("00"), 1448);
        file.Store(2 * PageBytes, Pages("00"), 1448);
        Assert.Empty(file.Written);
        Assert.Equal(Pages("0000"), file.Read());
    }

    [Fact]
    public void Bytes_over_zeros_that_were_left_out_are_written_and_zeros_over_those_again()
    {
        var file = new ModelFile();
        file.Store(0, Pages("000"), 1448);
        file.Store(PageBytes + 100, [1, 2, 3], 1448);
        Assert.Equal([.. Pages("0"), .. new byte[100], 1, 2, 3, .. new byte[(2 * PageBytes) - 103]], file.Read());
        file.Store(PageBytes + 101, new byte[1448], 1448);
        Assert.Equal([.. Pages("0"), .. new byte[100], 1, .. new byte[(2 * PageBytes) - 101]], file.Read());
    }

    [Fact]
    public void Zeros_that_the_file_could_not_be_lengthened_for_are_written_when_they_come_again()
    {
        var file = new ModelFile { RefusesLength = true };
        file.Store(0, Pages("x"), 1448);
        Assert.Equal(0, file.Store(PageBytes, Pages("00"), 1448));
        Assert.Equal(Pages("x"), file.Read());
        Assert.Equal(6, file.Store(PageBytes, Pages("00"), 1448));
        Assert.Equal(Pages("x00"), file.Read());
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

    /// <summary>A process that goes on where another left a hole.</summary>
    [Fact]
    public void A_page_of_zeros_that_begins_before_a_restart_stays_a_hole()
    {
        var file = new ModelFile(Pages("x0")[..5000]);
        file.Store(5000, new byte[(3 * PageBytes) - 5000], 1448);
        Assert.Empty(file.Written);
        Assert.Equal(Pages("x00"), file.Read());
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
                   from refuses in Gen.Frequency((6, Gen.Constant(false)), (1, Gen.Constant(true)))
                   select (Slices: slices, FailAfter: fails, RefusesLength: refuses);
        Prop.ForAll(call.ListOf().ToArbitrary(), calls =>
        {
            var sparse = new ModelFile();
            var plain = new ModelFile { IsPlain = true };
            foreach (var (slices, failAfter, refusesLength) in calls)
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
                if (failAfter >= 0 || refusesLength)
                {
                    sparse.FailAfterBytes = failAfter >= 0 ? failAfter : null;
                    sparse.RefusesLength = refusesLength;
                    stored = sparse.Store([.. writes]);
                    plain.Store([.. writes.Take(stored)]);
                    sparse.FailAfterBytes = null;
                    sparse.RefusesLength = false;
                    Assert.All(writes.Take(stored), write => Assert.True(write.Length == 0 || sparse.Read().LongLength >= (long)write.Offset + write.Length));
                }

                // The client sends again what was not acked.
                sparse.Store([.. writes.Skip(stored)]);
                plain.Store([.. writes.Skip(stored)]);
            }

            Assert.Equal(plain.Read(), sparse.Read());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    /// <summary>In a real file, in order, however it is cut.</summary>
    [Fact]
    public void Every_page_of_zeros_is_a_hole_and_no_other_whatever_comes_together()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var temp = new TempDirectory();
        using var directory = DumpDirectory.Open(temp.Path, null);
        directory.LeavesHoles = true;
        var stretch = from length in Gen.Frequency((2, Gen.Choose(1, 100)), (2, Gen.Choose(1, 3 * PageBytes)), (1, Gen.Choose(0, 3).Select(pages => pages * PageBytes)))
                      from zero in Gen.Frequency((3, Gen.Constant(true)), (2, Gen.Constant(false)))
                      select Enumerable.Repeat(zero ? (byte)0 : (byte)1, length);
        var cut = from stretches in stretch.NonEmptyListOf()
                  from payload in Gen.Elements(1, 524, 1024, 1448, 4096, 8948)
                  from restart in Gen.Choose(0, 30)
                  from batches in Gen.Choose(1, 48).NonEmptyListOf()
                  select (Content: stretches.SelectMany(s => s).ToArray(), Payload: payload, Restart: restart, Batches: batches);
        Prop.ForAll(cut.ToArbitrary(), input =>
        {
            using var file = directory.Create(Dumps.NewIdentity(), default, null);
            using var native = new NativeBytes(input.Content);
            for (int batch = 0, at = 0; at < input.Content.Length; batch++)
            {
                // Cuts into single bytes test what is between them, and take no more calls than others.
                int packets = input.Batches[batch % input.Batches.Count] * (input.Payload == 1 ? 100 : 1);
                var slices = new List<WriteSlice>();
                for (; packets > 0 && at < input.Content.Length; packets--)
                {
                    slices.Add(native.Slice((ulong)at, at, Math.Min(input.Payload, input.Content.Length - at)));
                    at += slices[^1].Length;
                }

                Assert.Equal(slices.Count, file.Write([.. slices], out _));
                Assert.Equal(at, file.ReadLength());
                // What a process does that continues the dump.
                if (batch == input.Restart)
                    file.LeaveHoles(file.ReadLength());
            }

            Assert.Equal(input.Content, File.ReadAllBytes(file.PartialPath));
            Assert.Equal(input.Content.Chunk(PageBytes).Select(page => page.AsSpan().ContainsAnyExcept((byte)0)), HeldPages(file.PartialPath, input.Content.Length));
            file.Discard();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void A_dump_of_zeros_takes_no_room_however_its_packets_come_together()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var temp = new TempDirectory();
        using var directory = DumpDirectory.Open(temp.Path, null);
        directory.LeavesHoles = true;
        using var file = directory.Create(Dumps.NewIdentity(), default, null);
        for (int at = 0; at < 1 << 20; at += 1448)
            Dumps.Write(file, (ulong)at, new byte[Math.Min(1448, (1 << 20) - at)]);

        Assert.Equal((1 << 20, 0L), (file.ReadLength(), Posix.AllocatedBytesOf(file.PartialPath)));
    }

    /// <summary>Of each page, whether the file holds it; the others are holes.</summary>
    private static IEnumerable<bool> HeldPages(string path, int bytes)
    {
        const int SeekData = 3;
        using var file = File.OpenHandle(path);
        for (long page = 0; page < bytes; page += PageBytes)
            yield return lseek(file, page, SeekData) is >= 0 and var found && found < page + PageBytes;
    }

    [LibraryImport("libc")]
    private static partial long lseek(SafeFileHandle file, long offset, int whence);

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

        /// <summary>The file cannot be lengthened except by writing.</summary>
        public bool RefusesLength { get; set; }

        /// <summary>Neighbouring writes joined.</summary>
        public List<(long Offset, long Length)> Written { get; } = [];

        public byte[] Read()
        {
            TakeContent();
            return _bytes[..(int)_length];
        }

        /// <returns>How many leading slices are stored.</returns>
        public int Store(long offset, byte[] bytes, int sliceBytes)
        {
            using var native = new NativeBytes(bytes);
            var slices = new List<WriteSlice>();
            for (int at = 0; at < bytes.Length; at += sliceBytes)
                slices.Add(native.Slice((ulong)(offset + at), at, Math.Min(sliceBytes, bytes.Length - at)));
            return Store([.. slices]);
        }

        /// <returns>How many leading slices are stored.</returns>
        public int Store(WriteSlice[] slices)
        {
            int whole = StoreBytes(slices);
            if (Sparse.LengthBytes is not ulong length)
                return whole;
            if (RefusesLength)
            {
                Sparse.OnLengthRefused();
                return 0;
            }

            // As ftruncate: a length that is too small cuts.
            _bytes.AsSpan((int)length).Clear();
            _length = (long)length;
            Sparse.OnLengthened();
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
