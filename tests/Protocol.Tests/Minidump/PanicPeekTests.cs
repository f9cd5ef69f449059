using System.Diagnostics;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Minidump;

namespace NetdumpCollector.Protocol.Tests.Minidump;

public sealed class PanicPeekTests
{
    private const string Panic = "page fault";
    private const string Messages = $"---<<BOOT>>---\nhello\npanic: {Panic}\ncpuid = 0\nUptime: 1s\n";

    /// <summary>What zstd gives where the system has no libzstd is nothing.</summary>
    private static string? IfZstd(string message) => PanicPeek.ReadsZstd ? message : null;

    [Theory]
    [InlineData("head-none-none.bin", "kdb_sysctl_panic")]
    [InlineData("head-gzip-none.bin", "kdb_sysctl_panic")]
    [InlineData("head-zstd-none.bin", "kdb_sysctl_panic")]
    [InlineData("head-none-aes.bin", null)]
    [InlineData("head-none-chacha.bin", null)]
    public void Reads_what_a_real_kernel_sent(string name, string? expected)
    {
        if (name.Contains("zstd", StringComparison.Ordinal) && !PanicPeek.ReadsZstd)
            expected = null;
        byte[] dump = GoldenFiles.Read(name);
        foreach (int chunk in (int[])[1, 3, 1448, 65536])
        {
            using var peek = new PanicPeek(new());
            FeedInChunks(peek, dump, _ => chunk);
            Assert.True(peek.IsOver);
            Assert.Equal(expected, peek.Message);
        }
    }

    [Fact]
    public void Knows_the_message_of_a_real_dump_before_two_bursts_have_come()
    {
        byte[] dump = GoldenFiles.Read("head-none-none.bin");
        using var peek = new PanicPeek(new());
        peek.Feed(dump.AsSpan(0, dump.Length - 1));
        Assert.False(peek.IsOver);
        Assert.Equal(dump.Length - 1, peek.NextOffset);
        peek.Feed(dump.AsSpan(dump.Length - 1));
        Assert.True(peek.IsOver);
        Assert.True(dump.Length <= 2 * WellKnown.BurstBytes);
    }

    [Theory]
    [InlineData("amd64", false, 4096)]
    [InlineData("arm64", false, 4096)]
    [InlineData("arm64", false, 16384)]
    [InlineData("riscv", false, 4096)]
    [InlineData("i386", false, 4096)]
    [InlineData("arm", false, 4096)]
    [InlineData("mips", true, 4096)]
    [InlineData("powerpc64", true, 4096)]
    [InlineData("powerpc64", false, 4096)]
    public void Reads_minidumps_of_every_machine(string machine, bool isBigEndian, int pageBytes)
    {
        // Around the ring's end, so that only who finds the struct behind it reads the newest panic.
        string text = "\npanic: of an earlier boot\n" + Messages;
        byte[] dump = SampleMinidump.Create(machine, text, SampleMinidump.RingBytes - 30, isBigEndian: isBigEndian, pageBytes: pageBytes);
        Assert.Equal(Panic, Peek(dump));
    }

    [Fact]
    public void Any_rotation_of_the_ring_gives_the_newest_panic() =>
        Prop.ForAll(Gen.Choose(0, SampleMinidump.RingBytes - 1).Zip(Gen.Choose(0, 100)).ToArbitrary(), given =>
        {
            var (from, lines) = given;
            string old = string.Concat(Enumerable.Range(0, lines).Select(i => string.Create(CultureInfo.InvariantCulture, $"panic: old {i}\nsome line\n")));
            Assert.Equal(Panic, Peek(SampleMinidump.Amd64("\n" + old + Messages, from)));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Without_the_struct_behind_the_ring_a_line_around_its_end_is_found()
    {
        for (int from = 0; from < 8192; from++)
            Assert.Equal(Panic, Peek(SampleMinidump.Amd64("\n" + Messages, from, ringBytes: 8192, hasStruct: false)));
    }

    [Theory]
    [InlineData("panic: first line\nsecond line\n", "first line")]
    [InlineData("panic: at the very start", "at the very start")]
    [InlineData("x\n<2>panic: with a priority\n", "with a priority")]
    [InlineData("x\n[12.345678] panic: with a time\r\n", "with a time")]
    [InlineData("x\n<118>[7] panic: with both\n", "with both")]
    [InlineData("x\npanic: real\nsyslog: panic: quoted\nKDB: panic: no\n", "real")]
    [InlineData("x\npanic: one\npanic: two\n", "two")]
    [InlineData("x\npanic: \u001b[31mred\u0007\n", "\\x1b[31mred\\x07")]
    [InlineData("x\npanic: \n", null)]
    [InlineData("panic\n", null)]
    [InlineData("don't panic: it is not a line\n", null)]
    [InlineData("", null)]
    public void Takes_the_text_of_a_line_that_starts_with_panic(string messages, string? expected) =>
        Assert.Equal(expected, Peek(SampleMinidump.Amd64(messages)));

    [Fact]
    public void Long_messages_are_cut() =>
        Assert.Equal(new string('a', MessageBuffer.MaxMessageBytes), Peek(SampleMinidump.Amd64("panic: " + new string('a', 5000) + "\n")));

    [Fact]
    public void Any_chunks_give_the_same_answer()
    {
        byte[] plain = SampleMinidump.Amd64(Messages);
        byte[][] dumps = [plain, SampleMinidump.Gzip(plain), SampleMinidump.Zstd(plain)];
        Prop.ForAll(Gen.Elements(dumps).Zip(Gen.Choose(0, int.MaxValue)).ToArbitrary(), given =>
        {
            var random = new Random(given.Item2);
            int most = 1 << random.Next(0, 14);
            using var peek = new PanicPeek(new());
            FeedInChunks(peek, given.Item1, _ => random.Next(0, most + 1));
            Assert.True(given.Item1 != dumps[2] || PanicPeek.ReadsZstd ? peek.Message == Panic : peek.Message is null);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Reads_zstd_where_the_system_has_the_library() =>
        Assert.Equal(IfZstd(Panic), Peek(SampleMinidump.Zstd(SampleMinidump.Amd64(Messages))));

    [Fact]
    public void Stops_at_the_first_page_of_what_is_no_minidump()
    {
        foreach (string start in (string[])["\x7f" + "ELF", "FreeBSD Text Dump", "minidump FreeBSD/vax", "minidump FreeBSD/", "minidump FreeBSD/amd64-and-more"])
        {
            byte[] dump = new byte[4096];
            Encoding.Latin1.GetBytes(start).CopyTo(dump, 0);
            using var peek = new PanicPeek(new());
            peek.Feed(dump);
            Assert.True(peek.IsOver, start);
            Assert.Null(peek.Message);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(PanicPeek.MaxMessageBufferBytes + 1)]
    [InlineData(-1)]
    public void Gives_up_on_message_buffers_of_impossible_size(int ringBytes)
    {
        byte[] dump = SampleMinidump.Amd64(Messages);
        BitConverter.TryWriteBytes(dump.AsSpan(28), ringBytes);
        using var peek = new PanicPeek(new());
        peek.Feed(dump.AsSpan(0, 4096));
        Assert.True(peek.IsOver);
        Assert.Null(peek.Message);
    }

    [Fact]
    public void Reads_the_largest_message_buffer_it_takes()
    {
        byte[] dump = SampleMinidump.Create("arm64", Messages, PanicPeek.MaxMessageBufferBytes - 40, PanicPeek.MaxMessageBufferBytes, hasStruct: false, pageBytes: 16384);
        Assert.Equal(Panic, Peek(dump));
    }

    [Fact]
    public void A_dump_that_ends_too_early_leaves_the_message_unknown()
    {
        byte[] dump = SampleMinidump.Amd64(Messages);
        using var peek = new PanicPeek(new());
        peek.Feed(dump.AsSpan(0, 9000));
        Assert.False(peek.IsOver);
        Assert.Null(peek.Message);
    }

    [Fact]
    public void Bombs_cost_no_more_than_the_message_buffer()
    {
        // A gigabyte of zeros behind the header of a minidump, as gzip and as zstd make it: about 1 MiB, and 24 KiB.
        byte[] header = SampleMinidump.Amd64("", ringBytes: PanicPeek.MaxMessageBufferBytes)[..4096];
        foreach (byte[] bomb in (byte[][])[SampleMinidump.Gzip([.. header, .. new byte[64 << 20]]), ZstdOfZeros(header, 8192)])
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            using var peek = new PanicPeek(new());
            FeedInChunks(peek, bomb, _ => 1448);
            Assert.True(peek.IsOver);
            Assert.Null(peek.Message);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 20 << 20);
        }
    }

    [Fact]
    public void A_header_alone_takes_no_memory_for_the_buffer_that_it_announces()
    {
        var memory = new PeekMemory();
        byte[] dump = SampleMinidump.Amd64(Messages, ringBytes: PanicPeek.MaxMessageBufferBytes);
        using var peek = new PanicPeek(memory);
        peek.Feed(dump.AsSpan(0, 4096 + 1448));
        Assert.False(peek.IsOver);
        Assert.InRange(memory.TakenBytes, 1, 65536);
        FeedInChunks(peek, dump.AsSpan(4096 + 1448), _ => 1448);
        Assert.Equal(Panic, peek.Message);
        Assert.Equal(0, memory.TakenBytes);
    }

    [Fact]
    public void Where_all_together_take_too_much_one_more_gives_up_and_nothing_is_lost()
    {
        byte[] plain = SampleMinidump.Amd64(Messages);
        foreach (byte[] dump in (byte[][])[plain, SampleMinidump.Gzip(plain), SampleMinidump.Zstd(plain)])
        {
            var memory = new PeekMemory(100_000);
            Assert.True(memory.TryTake(90_000));
            using (var peek = new PanicPeek(memory))
            {
                FeedInChunks(peek, dump, _ => 1448);
                Assert.True(peek.IsOver);
                Assert.Null(peek.Message);
            }

            Assert.Equal(90_000, memory.TakenBytes);
        }
    }

    [Fact]
    public void The_window_of_a_zstd_stream_counts()
    {
        if (!PanicPeek.ReadsZstd)
            return;
        var memory = new PeekMemory();
        // A window of 8 MiB and a block that is not whole yet.
        using (var peek = new PanicPeek(memory))
        {
            peek.Feed([0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0xf0, 0, 0, 1, 2, 3]);
            Assert.False(peek.IsOver);
            Assert.InRange(memory.TakenBytes, 8 << 20, 9 << 20);
        }

        Assert.Equal(0, memory.TakenBytes);
    }

    [Theory]
    [InlineData(new byte[] { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0x1f, 0x8b, 8, 0xe0, 0, 0, 0, 0, 0, 3, 7, 7, 7, 7 })]
    [InlineData(new byte[] { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    public void A_stream_that_cannot_be_decoded_gives_no_message_and_no_exception(byte[] start)
    {
        var memory = new PeekMemory();
        using var peek = new PanicPeek(memory);
        peek.Feed([.. start, .. new byte[100_000]]);
        Assert.True(peek.IsOver);
        Assert.Null(peek.Message);
        Assert.Equal(0, memory.TakenBytes);
    }

    [Fact]
    public void A_buffer_full_of_panics_that_are_none_is_given_up()
    {
        const int Ring = 1 << 20;
        string decoys = string.Concat(Enumerable.Repeat("xpanic: ", Ring / 8 - 100));
        string messages = new string('.', 500) + "\npanic: real\n";
        Assert.Null(Peek(SampleMinidump.Amd64(messages + decoys, ringBytes: Ring)));
        Assert.Equal("real", Peek(SampleMinidump.Amd64(messages + string.Concat(Enumerable.Repeat("xpanic: ", 1000)) + "\n", ringBytes: Ring)));
    }

    [Fact]
    public void A_compressed_stream_that_says_nothing_is_given_up_after_a_while()
    {
        // Empty blocks of deflate and of zstd: input without end and without output.
        byte[] gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, .. Repeat([0, 0, 0, 0xff, 0xff], PanicPeek.MaxFedBytes)];
        byte[] zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, .. Repeat([0, 0, 0], PanicPeek.MaxFedBytes)];
        byte[] skippable = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 1, 0, 0, .. Repeat([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], PanicPeek.MaxFedBytes)];
        foreach (byte[] stream in (byte[][])[gzip, zstd, skippable])
        {
            var watch = Stopwatch.StartNew();
            using var peek = new PanicPeek(new());
            FeedInChunks(peek, stream, _ => 1448);
            Assert.True(peek.IsOver);
            Assert.Null(peek.Message);
            Assert.Equal(PanicPeek.MaxCompressedBytes, peek.NextOffset);
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{watch.Elapsed}");
        }
    }

    [Fact]
    public void Random_and_broken_dumps_do_no_harm()
    {
        byte[] plain = SampleMinidump.Amd64(Messages);
        byte[][] seeds =
        [
            plain, SampleMinidump.Gzip(plain), SampleMinidump.Zstd(plain), SampleMinidump.Create("powerpc64", Messages, isBigEndian: true),
            GoldenFiles.Read("head-gzip-none.bin"), GoldenFiles.Read("head-zstd-none.bin"),
        ];
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            byte[] dump = [.. seeds[random.Next(seeds.Length)]];
            for (int changes = random.Next(0, 20); changes > 0; changes--)
                dump[random.Next(random.Next(2) == 0 ? 128 : dump.Length)] = (byte)random.Next(256);
            if (random.Next(10) == 0)
                random.NextBytes(dump.AsSpan(random.Next(8)));
            int most = 1 << random.Next(0, 16);
            using var peek = new PanicPeek(new());
            FeedInChunks(peek, dump.AsSpan(0, random.Next(dump.Length)), _ => random.Next(1, most + 1));
            Assert.True(peek.Message is null || peek.IsOver);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));
    }

    private static string? Peek(ReadOnlySpan<byte> dump)
    {
        using var peek = new PanicPeek(new());
        FeedInChunks(peek, dump, _ => 1448);
        return peek.Message;
    }

    private static void FeedInChunks(PanicPeek peek, ReadOnlySpan<byte> dump, Func<int, int> chunkAt)
    {
        for (int at = 0; at < dump.Length;)
        {
            int chunk = Math.Min(chunkAt(at), dump.Length - at);
            peek.Feed(dump.Slice(at, chunk));
            at += chunk;
        }
    }

    private static byte[] Repeat(byte[] unit, int bytes)
    {
        byte[] all = new byte[bytes / unit.Length * unit.Length];
        for (int at = 0; at < all.Length; at += unit.Length)
            unit.CopyTo(all, at);
        return all;
    }

    /// <summary>The header as a stored block, then blocks of 128 KiB of zeros, 4 bytes each.</summary>
    private static byte[] ZstdOfZeros(byte[] header, int blocks)
    {
        const int RunBytes = 1 << 17;
        int stored = header.Length << 3;
        const int Run = (RunBytes << 3) | 2;
        return [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, (byte)stored, (byte)(stored >> 8), (byte)(stored >> 16), .. header,
            .. Repeat([Run & 0xff, (Run >> 8) & 0xff, (Run >> 16) & 0xff, 0], 4 * blocks)];
    }
}
