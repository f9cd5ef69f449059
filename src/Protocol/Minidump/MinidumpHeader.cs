using System.Buffers.Binary;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>What the first page of a FreeBSD minidump says about the message buffer that follows it.</summary>
/// <param name="MessageBufferBytes">Size of the ring of kernel messages, in bytes; never more than <see cref="uint.MaxValue"/>, and not checked here.</param>
/// <param name="PageBytes">The host's page: the header fills one, and the message buffer is rounded up to whole ones.</param>
/// <param name="IsBigEndian">The host's integers are big-endian; the dump is as the host's memory.</param>
/// <remarks>Source: protocol.md, section 5; FreeBSD sys/{amd64,arm,arm64,i386,mips,powerpc,riscv}/include/minidump.h.</remarks>
internal readonly record struct MinidumpHeader(uint MessageBufferBytes, int PageBytes, bool IsBigEndian)
{
    /// <summary>So much of the page is looked at.</summary>
    public const int SizeBytes = 80;

    private const int LargePageBytes = 16384;

    /// <summary>Reads the start of a dump; false for anything that is not a minidump of a known machine.</summary>
    /// <param name="page">At least <see cref="SizeBytes"/> bytes.</param>
    /// <param name="header">What it says.</param>
    public static bool TryRead(ReadOnlySpan<byte> page, out MinidumpHeader header)
    {
        header = default;
        if (page.Length < SizeBytes || !page.StartsWith("minidump FreeBSD/"u8))
            return false;

        var machine = page["minidump FreeBSD/".Length..32];
        machine = machine[..Math.Max(0, machine.IndexOf((byte)0))];
        int versionAt;
        if (machine.SequenceEqual("powerpc64"u8))
            versionAt = 64;
        else if (machine.SequenceEqual("amd64"u8) || machine.SequenceEqual("arm64"u8) || machine.SequenceEqual("i386"u8)
            || machine.SequenceEqual("riscv"u8) || machine.SequenceEqual("arm"u8) || machine.SequenceEqual("mips"u8))
            versionAt = 24;
        else
            return false;

        // Versions are small numbers, so the half that holds one tells the byte order.
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(page[versionAt..]);
        bool isBigEndian = version > ushort.MaxValue;
        uint size = Read(page[(versionAt + 4)..], isBigEndian);
        bool hasPageFlag = machine.SequenceEqual("arm64"u8) && version is >= 3 and <= ushort.MaxValue;
        bool hasLargePages = hasPageFlag && (Read(page[76..], isBigEndian) & 3) == 1;
        header = new(size, hasLargePages ? LargePageBytes : WellKnown.PageBytes, isBigEndian);
        return true;
    }

    /// <summary>An integer of the host.</summary>
    internal static uint Read(ReadOnlySpan<byte> bytes, bool isBigEndian) =>
        isBigEndian ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
}
