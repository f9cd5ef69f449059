using FsCheck;
using FsCheck.Fluent;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests;

public sealed class DumpFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public DumpFileTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Slices_land_where_they_belong_whatever_their_order_and_neighbours(bool leavesHoles)
    {
        _directory.LeavesHoles = leavesHoles;
        var slice = from gap in Gen.Frequency((4, Gen.Constant(0)), (1, Gen.Choose(-5000, 5000)))
                    from length in Gen.Choose(0, 3000)
                    from zero in Gen.Frequency((1, Gen.Constant(true)), (1, Gen.Constant(false)))
                    from endsBatch in Gen.Frequency((1, Gen.Constant(true)), (2, Gen.Constant(false)))
                    select (Gap: gap, Length: length, IsZero: zero, EndsBatch: endsBatch);
        Prop.ForAll(Gen.ListOf(slice).ToArbitrary(), slices =>
        {
            using var file = _directory.Create(Dumps.NewIdentity(), default, null);
            byte[] content = [.. slices.SelectMany(s => s.IsZero ? new byte[s.Length] : Dumps.Pattern(s.Length))];
            using var native = new NativeBytes(content);
            byte[] expected = new byte[1 << 20];
            var writes = new List<WriteSlice>();
            int from = 0, at = 10000, end = 0;
            foreach (var (gap, length, isZero, endsBatch) in slices)
            {
                at = Math.Max(0, at + gap);
                writes.Add(native.Slice((ulong)at, from, length));
                content.AsSpan(from, length).CopyTo(expected.AsSpan(at));
                from += length;
                at += length;
                end = length > 0 ? Math.Max(end, at) : end;
                if (endsBatch)
                    Store();
            }

            Store();
            Assert.Equal(expected[..end], File.ReadAllBytes(file.PartialPath));

            void Store()
            {
                Assert.Equal(writes.Count, file.Write(writes.ToArray(), out string? error));
                Assert.Null(error);
                writes.Clear();
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Pages_of_zeros_take_no_room_where_holes_are_left()
    {
        _directory.LeavesHoles = true;
        byte[] content = [.. Dumps.Pattern(65536), .. new byte[1 << 20], .. Dumps.Pattern(65536), .. new byte[1 << 20]];
        using var native = new NativeBytes(content);
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);
        for (int at = 0; at < content.Length; at += 65536)
        {
            int from = at;
            WriteSlice[] packets = [.. Enumerable.Range(0, 46).Select(i => native.Slice((ulong)(from + i * 1448), from + i * 1448, Math.Min(1448, 65536 - i * 1448)))];
            Assert.Equal(packets.Length, file.Write(packets, out string? error));
            Assert.Null(error);
            Assert.Equal(at + 65536, new FileInfo(file.PartialPath).Length);
            Assert.True(file.Matches((ulong)at, content.AsSpan(at, 65536)));
        }

        Assert.Equal(content, File.ReadAllBytes(file.PartialPath));
        Assert.InRange(AllocatedBytes(file.PartialPath), 0, 1 << 20);
    }

    [Fact]
    public void Zeros_that_no_file_can_hold_are_refused_and_cost_nothing_later()
    {
        _directory.LeavesHoles = true;
        using var native = new NativeBytes(new byte[8192]);
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);
        foreach (ulong offset in (ulong[])[1ul << 62, long.MaxValue - 4095ul, ulong.MaxValue - 4095])
        {
            Assert.Equal(0, file.Write([native.Slice(offset, 0, 8192)], out string? refused));
            Assert.NotNull(refused);
        }

        Assert.Equal(1, file.Write([native.Slice(0, 0, 8192)], out string? error));
        Assert.Null(error);
        Assert.Equal(new byte[8192], File.ReadAllBytes(file.PartialPath));
    }

    /// <summary>What the file takes of its file system, as stat(1) says.</summary>
    private static long AllocatedBytes(string path)
    {
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", path]) { RedirectStandardOutput = true })!;
        long blocks = long.Parse(stat.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture);
        stat.WaitForExit();
        return blocks * 512;
    }

    [Fact]
    public void More_neighbours_than_one_call_takes_are_all_written()
    {
        byte[] content = Dumps.Pattern(5000);
        using var native = new NativeBytes(content);
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);
        WriteSlice[] slices = [.. Enumerable.Range(0, 2500).Select(i => native.Slice((ulong)i * 2, i * 2, 2))];

        Assert.Equal(2500, file.Write(slices, out string? error));

        Assert.Null(error);
        Assert.Equal(content, File.ReadAllBytes(file.PartialPath));
    }

    [Fact]
    public void A_full_file_ends_the_write_at_the_last_whole_slice()
    {
        byte[] content = Dumps.Pattern(5000);
        using var native = new NativeBytes(content);
        using var data = MemoryFile.OfFixedSize(8192);
        using var file = FileOver(data, MemoryFile.OfFixedSize(4096));

        // The memory file takes whole pages: 1200 bytes of the sixth slice fit, the seventh does not at all.
        WriteSlice[] slices = [.. Enumerable.Range(0, 7).Select(i => native.Slice(3500 + ((ulong)i * 700), i * 700, 700))];
        int whole = file.Write(slices, out string? error);

        Assert.Equal(6, whole);
        Assert.Equal("Operation not permitted (EPERM) at offset 0x2000", error);
        byte[] stored = new byte[8192];
        RandomAccess.Read(data, stored, 0);
        Assert.Equal(content[..(8192 - 3500)], stored[3500..]);
    }

    [Fact]
    public void A_full_device_is_told_in_words_with_the_offset()
    {
        using var native = new NativeBytes(Dumps.Pattern(10));
        using var full = new SafeFileHandle(File.OpenHandle("/dev/full", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite).DangerousGetHandle(), ownsHandle: false);
        using var file = FileOver(full, MemoryFile.OfFixedSize(4096));

        Assert.Equal(0, file.Write([native.Slice(0x1000, 0, 10)], out string? error));

        Assert.Equal("No space left on device (ENOSPC) at offset 0x1000", error);
    }

    [Theory]
    [InlineData(1UL << 63)]
    [InlineData((1UL << 63) - 5)]
    [InlineData(ulong.MaxValue - 9)]
    [InlineData(ulong.MaxValue)]
    public void An_offset_that_no_file_has_is_an_error_after_the_slices_before_it(ulong offset)
    {
        using var native = new NativeBytes(Dumps.Pattern(20));
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);

        Assert.Equal(1, file.Write([native.Slice(0, 0, 10), native.Slice(offset, 10, 10), native.Slice(10, 0, 10)], out string? error));

        Assert.Equal($"File too large (EFBIG) at offset 0x{offset:x}", error);
        Assert.Equal(10, new FileInfo(file.PartialPath).Length);
    }

    [Fact]
    public void Matches_only_what_is_stored()
    {
        byte[] content = Dumps.Pattern(70000);
        using var file = Dumps.Receive(_directory, content);

        Assert.True(file.Matches(0, content));
        Assert.True(file.Matches(69999, content.AsSpan(69999)));
        Assert.True(file.Matches(5, []));
        Assert.False(file.Matches(1, content));
        Assert.False(file.Matches(69999, content.AsSpan(69998)));
        Assert.False(file.Matches(1UL << 63, [1]));
        content[40000] ^= 1;
        Assert.False(file.Matches(0, content));
    }

    [Fact]
    public void What_runs_on_the_event_loop_allocates_nothing()
    {
        byte[] content = Dumps.Pattern(65536);
        using var native = new NativeBytes(content);
        using var file = _directory.Create(Dumps.NewIdentity(), default, null);
        WriteSlice[] slices = [.. Enumerable.Range(0, 46).Select(i => native.Slice((ulong)i * 1424, i * 1424, 1424))];
        byte[] header = new byte[512];

        NoAllocation.In(() => Assert.True(file.Write(slices, out _) == slices.Length && file.Matches(0, content.AsSpan(0, 46 * 1424))
            && file.AppendKdh(header, out _) && file.AppendKey(0, header, out _)));
    }

    [Fact]
    public void A_record_that_a_full_disk_tore_neither_hides_the_next_one_nor_speaks_behind_it()
    {
        using var ledger = MemoryFile.OfFixedSize(4096);
        using var file = FileOver(MemoryFile.OfFixedSize(0), ledger);
        Assert.True(file.AppendOpened(out _));
        Assert.True(file.AppendKey(0, Dumps.Pattern(2560), out _));

        // It crosses the end of the file's only page only after some of it was written, with what a client would like to be believed where the next record ends.
        byte[] hostile = [1, 2, 3, .. Forgery, .. Dumps.Pattern(512)];
        Assert.False(file.AppendKey(2560, hostile, out string? error));
        Assert.Contains("ledger of", error, StringComparison.Ordinal);
        MemoryFile.MakeRoom(ledger);
        Assert.True(file.AppendKey(2560, [1, 2, 3], out error), error);

        byte[] bytes = new byte[RandomAccess.GetLength(ledger)];
        RandomAccess.Read(ledger, bytes, 0);
        var read = LedgerFile.Read(bytes);
        var last = Assert.IsType<LedgerRecord.Key>(read.Records[^1]);
        Assert.Equal(2560UL, last.Offset);
        Assert.Equal([1, 2, 3], last.Bytes.ToArray());
        Assert.True(read.EndsClean);
    }

    /// <summary>A whole record, as a client can send it in a key.</summary>
    internal static byte[] Forgery
    {
        get
        {
            byte[] header = new byte[LedgerFormat.RecordHeaderBytes];
            LedgerFormat.WriteRecordHeader(header, LedgerRecordType.SyncFailed, [], []);
            return header;
        }
    }

    [Fact]
    public void The_ledger_tells_whose_dump_it_is_and_what_came()
    {
        var identity = Dumps.NewIdentity();
        byte[] header = Dumps.Golden("kdh-none-none.bin");
        byte[] key = Dumps.Pattern(1448);
        using var file = _directory.Create(identity, default, null);
        Assert.True(file.AppendKey(1448, key, out _));
        Assert.True(file.AppendKdh(header, out _));

        var ledger = LedgerFile.Read(file.PartialPath + ".ledger");

        Assert.True(ledger.EndsClean);
        Assert.Equal(identity, ledger.Opened?.Identity);
        Assert.Equal(Guid.Parse(File.ReadAllText("/proc/sys/kernel/random/boot_id")), ledger.Opened?.BootId);
        Assert.Equal(4, ledger.Records.Count);
        Assert.Equal(default, Assert.IsType<LedgerRecord.Endpoint>(ledger.Records[1]).Value);
        var keyRecord = Assert.IsType<LedgerRecord.Key>(ledger.Records[2]);
        Assert.Equal(1448UL, keyRecord.Offset);
        Assert.Equal(key, keyRecord.Bytes.ToArray());
        Assert.Equal(header, Assert.IsType<LedgerRecord.Kdh>(ledger.Records[3]).Header.ToArray());
    }

    [Fact]
    public void Discard_leaves_nothing_behind()
    {
        Dumps.Receive(_directory, Dumps.Pattern(10)).Discard();

        Assert.Empty(_temp.Names);
    }

    [Fact]
    public void Write_back_that_comes_after_the_end_is_ignored()
    {
        var file = Dumps.Receive(_directory, Dumps.Pattern(10));
        file.StartWriteback(0, 10);
        file.StartWriteback(ulong.MaxValue, 10);
        file.Dispose();

        file.StartWriteback(0, 10);
    }

    private DumpFile FileOver(SafeFileHandle data, SafeFileHandle ledger)
    {
        var folder = new DumpFolder(Posix.Open(_temp.Path, Posix.O_RDONLY)!, _temp.Path, "", OwnsHandle: true);
        return new(Dumps.NewIdentity(), default, folder, data, ledger, null);
    }
}
