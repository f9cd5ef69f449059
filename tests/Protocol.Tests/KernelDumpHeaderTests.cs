using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests;

public sealed class KernelDumpHeaderTests
{
    private const int Absent = -1;

    [Theory]
    [InlineData("kdh-none-none.bin", 0x02e63000ul, 0x6b00e703L, 0u, DumpCompression.None)]
    [InlineData("kdh-gzip-none.bin", 0x005aa121ul, 0x6b00e70cL, 0u, DumpCompression.Gzip)]
    [InlineData("kdh-zstd-none.bin", 0x00563e3eul, 0x6b00e71bL, 0u, DumpCompression.Zstd)]
    [InlineData("kdh-none-aes.bin", 0x02e66000ul, 0x6b00e727L, 4096u, DumpCompression.None)]
    [InlineData("kdh-none-chacha.bin", 0x02e66000ul, 0x6b00e731L, 4096u, DumpCompression.None)]
    public void Reads_what_a_FreeBSD_14_kernel_sent(string file, ulong dumpLength, long dumpTime, uint keySize, DumpCompression compression)
    {
        byte[] raw = GoldenFiles.Read(file);
        var header = KernelDumpHeader.Read(raw)!;
        Assert.True(header.IsValid);
        Assert.True(header.ParityPasses);
        Assert.Equal(raw, header.Raw.ToArray());
        Assert.Equal("FreeBSD Kernel Dump", header.Magic);
        Assert.Equal("amd64", header.Architecture);
        Assert.Equal(4u, header.Version);
        Assert.Equal(2u, header.ArchitectureVersion);
        Assert.Equal(dumpLength, header.DumpLength);
        Assert.Equal(dumpTime, header.DumpTime.ToUnixTimeSeconds());
        Assert.Equal(keySize, header.DumpKeySize);
        Assert.Equal(keySize > 0, header.IsEncrypted);
        Assert.Equal(4096u, header.BlockSize);
        Assert.Equal(compression, header.Compression);
        Assert.Equal("", header.Hostname);
        Assert.Equal("FreeBSD 14.0-CURRENT #1: Sat Nov 21 00:19:43 UTC 2026\\x0a    root@build:/usr/obj/usr/src/", header.VersionString);
        Assert.Equal("kdb_sysctl_panic", header.PanicString);
    }

    /// <summary>The offsets are those of protocol.md, section 3.</summary>
    [Theory]
    [InlineData(1u, 48, Absent, 56, Absent, 60, 124, 316, 192)]
    [InlineData(2u, 48, 56, 60, Absent, 64, 128, 320, 188)]
    [InlineData(3u, 56, 64, 68, 72, 73, 137, 329, 179)]
    [InlineData(4u, 48, 56, 60, 495, 64, 128, 320, 175)]
    public void Reads_each_version_at_its_own_offsets(
        uint version, int dumpTime, int keySize, int blockSize, int compression, int hostname, int versionString, int panicString, int panicStringBytes)
    {
        byte[] raw = new byte[KernelDumpHeader.SizeBytes];
        // Every text fills its field to the last byte, so a wrong length takes in or loses a character.
        string host = new('h', 64), build = new('v', 192), panic = new('p', panicStringBytes);
        Put(raw, 0, "FreeBSD Kernel Dump");
        Put(raw, 20, "powerpc64le!");
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(32), version);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(36), 7);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(40), 0x0102030405060708);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(dumpTime), 1_700_000_000);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(blockSize), 512);
        Put(raw, hostname, host);
        Put(raw, versionString, build);
        Put(raw, panicString, panic);
        if (keySize != Absent)
            BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(keySize), 0x00010203);
        if (compression != Absent)
            raw[compression] = 2;
        SetParity(raw);

        var header = KernelDumpHeader.Read(raw)!;
        Assert.True(header.IsValid);
        Assert.Equal(version, header.Version);
        Assert.Equal("powerpc64le!", header.Architecture);
        Assert.Equal(7u, header.ArchitectureVersion);
        Assert.Equal(0x0102030405060708ul, header.DumpLength);
        Assert.Equal(1_700_000_000, header.DumpTime.ToUnixTimeSeconds());
        Assert.Equal(keySize == Absent ? 0u : 0x00010203u, header.DumpKeySize);
        Assert.Equal(512u, header.BlockSize);
        Assert.Equal(compression == Absent ? DumpCompression.None : DumpCompression.Zstd, header.Compression);
        Assert.Equal(host, header.Hostname);
        Assert.Equal(build, header.VersionString);
        Assert.Equal(panic, header.PanicString);
    }

    [Fact]
    public void A_text_dump_is_as_valid_as_a_kernel_dump()
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        raw.AsSpan(0, 20).Clear();
        Put(raw, 0, KernelDumpHeader.TextDumpMagic);
        SetParity(raw);
        Assert.True(KernelDumpHeader.Read(raw)!.IsValid);
    }

    [Fact]
    public void Another_magic_is_read_and_not_believed()
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        raw[0] = (byte)'f';
        SetParity(raw);
        var header = KernelDumpHeader.Read(raw)!;
        Assert.True(header.ParityPasses);
        Assert.False(header.MagicIsKnown);
        Assert.False(header.IsValid);
        Assert.Equal(0x02e63000ul, header.DumpLength);
    }

    [Fact]
    public void Any_single_flipped_bit_fails_the_parity_check()
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        for (int bit = 0; bit < raw.Length * 8; bit++)
        {
            raw[bit / 8] ^= (byte)(1 << (bit % 8));
            var header = KernelDumpHeader.Read(raw)!;
            Assert.False(header.ParityPasses);
            Assert.False(header.IsValid);
            raw[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(5u)]
    [InlineData(0x04000000u)]
    public void An_unknown_version_is_not_believed(uint version)
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(32), version);
        SetParity(raw);
        Assert.False(KernelDumpHeader.Read(raw)!.IsValid);
    }

    [Fact]
    public void A_header_that_announces_no_bytes_is_not_believed()
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(40), 0);
        SetParity(raw);
        Assert.False(KernelDumpHeader.Read(raw)!.IsValid);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(513)]
    public void Only_512_bytes_are_a_header(int length) => Assert.Null(KernelDumpHeader.Read(new byte[length]));

    [Fact]
    public void A_time_beyond_all_calendars_is_the_last_one_there_is()
    {
        byte[] raw = GoldenFiles.Read("kdh-none-none.bin");
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(48), ulong.MaxValue);
        Assert.Equal(DateTimeOffset.MaxValue.ToUnixTimeSeconds(), KernelDumpHeader.Read(raw)!.DumpTime.ToUnixTimeSeconds());
    }

    [Fact]
    public void A_created_header_is_what_the_kernel_would_have_sent()
    {
        var golden = KernelDumpHeader.Read(GoldenFiles.Read("kdh-gzip-none.bin"))!;
        var created = KernelDumpHeader.Read(KernelDumpHeader.Create(golden.Architecture, golden.DumpLength, golden.DumpTime, keySize: 4096, golden.BlockSize,
            golden.Compression, "db7.example.net", "FreeBSD 14.0", golden.PanicString))!;
        Assert.True(created.IsValid);
        Assert.Equal(4u, created.Version);
        Assert.Equal(golden.Magic, created.Magic);
        Assert.Equal(golden.Architecture, created.Architecture);
        Assert.Equal(golden.DumpLength, created.DumpLength);
        Assert.Equal(golden.DumpTime, created.DumpTime);
        Assert.Equal(4096u, created.DumpKeySize);
        Assert.Equal(golden.BlockSize, created.BlockSize);
        Assert.Equal(golden.Compression, created.Compression);
        Assert.Equal("db7.example.net", created.Hostname);
        Assert.Equal("FreeBSD 14.0", created.VersionString);
        Assert.Equal(golden.PanicString, created.PanicString);
    }

    [Fact]
    public void Texts_too_long_for_their_fields_are_cut_and_stay_terminated()
    {
        string tooLong = new('x', 600);
        var header = KernelDumpHeader.Read(KernelDumpHeader.Create("a", 1, DateTimeOffset.UnixEpoch, 0, 512, DumpCompression.None, tooLong, tooLong, tooLong))!;
        Assert.True(header.IsValid);
        Assert.Equal(63, header.Hostname.Length);
        Assert.Equal(191, header.VersionString.Length);
        Assert.Equal(174, header.PanicString.Length);
    }

    [Fact]
    public void Any_512_bytes_are_read_without_an_exception_and_without_control_characters() =>
        Prop.ForAll(HeaderBytes().ToArbitrary(), raw =>
        {
            var header = KernelDumpHeader.Read(raw)!;
            return new[] { header.Magic, header.Architecture, header.Hostname, header.VersionString, header.PanicString }.All(PrintableTextTests.IsPrintable)
                && header.Raw.Span.SequenceEqual(raw)
                && (!header.IsValid || (header.MagicIsKnown && header.ParityPasses));
        }).QuickCheckThrowOnFailure();

    /// <summary>Random bytes in the layout of every version, half of them with a magic and parity that pass.</summary>
    private static Gen<byte[]> HeaderBytes() =>
        from seed in Gen.Choose(0, int.MaxValue)
        from version in Gen.Choose(0, 6)
        from isSound in Gen.Elements(true, false)
        select HeaderBytes(seed, (uint)version, isSound);

    private static byte[] HeaderBytes(int seed, uint version, bool isSound)
    {
        byte[] raw = new byte[KernelDumpHeader.SizeBytes];
        new Random(seed).NextBytes(raw);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(32), version);
        if (!isSound)
            return raw;

        raw.AsSpan(0, 20).Clear();
        Put(raw, 0, KernelDumpHeader.DumpMagic);
        SetParity(raw);
        return raw;
    }

    private static void Put(byte[] raw, int at, string text) => Encoding.ASCII.GetBytes(text).CopyTo(raw, at);

    private static void SetParity(byte[] raw)
    {
        raw.AsSpan(508).Clear();
        uint parity = 0;
        for (int i = 0; i < raw.Length; i += 4)
            parity ^= BinaryPrimitives.ReadUInt32BigEndian(raw.AsSpan(i));
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(508), parity);
    }
}
