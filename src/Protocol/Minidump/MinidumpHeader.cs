using System.Buffers.Binary;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>What the first page of a FreeBSD minidump says about the parts that follow it: message buffer, dump_avail, page bitmap, page tables.</summary>
/// <param name="MessageBufferBytes">Size of the ring of kernel messages, in bytes; like all sizes here never more than <see cref="uint.MaxValue"/>, and not checked.</param>
/// <param name="DumpAvailBytes">Size of the list of physical memory ranges, 0 in versions that have none; null where the version is not known, and with it what lies where.</param>
/// <param name="BitmapBytes">Size of the bitmap of dumped pages.</param>
/// <param name="PageTableBytes">Size of the page tables.</param>
/// <param name="PageBytes">The host's page: the header fills one, and the parts are rounded up to whole ones.</param>
/// <param name="IsBigEndian">The host's integers are big-endian; the dump is as the host's memory.</param>
/// <remarks>Source: protocol.md, section 5; FreeBSD sys/{amd64,arm,arm64,i386,mips,powerpc,riscv}/include/minidump.h.</remarks>
internal readonly record struct MinidumpHeader(uint MessageBufferBytes, uint? DumpAvailBytes, uint BitmapBytes, uint PageTableBytes, int PageBytes, bool IsBigEndian)
{
    /// <summary>So much of the page is looked at: powerpc64's header is the longest.</summary>
    public const int SizeBytes = 140;

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
        if (FormatOf(machine) is not { } format)
            return false;

        // Versions are small numbers, so the half that holds one tells the byte order.
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(page[format.VersionAt..]);
        bool isBigEndian = version > ushort.MaxValue;
        if (isBigEndian)
            version = BinaryPrimitives.ReverseEndianness(version);
        bool hasLargePages = format.FlagsAt > 0 && version >= format.LastVersion && (Read(page[format.FlagsAt..], isBigEndian) & 3) == 1;
        uint? dumpAvailBytes = version == 0 || version > format.LastVersion ? null
            : version < format.DumpAvailSince ? 0
            : Read(page[format.DumpAvailAt..], isBigEndian);
        header = new(
            Read(page[(format.VersionAt + 4)..], isBigEndian),
            dumpAvailBytes,
            Read(page[(format.VersionAt + 8)..], isBigEndian),
            Read(page[(format.VersionAt + 12)..], isBigEndian),
            hasLargePages ? LargePageBytes : WellKnown.PageBytes,
            isBigEndian);
        return true;
    }

    /// <summary>An integer of the host.</summary>
    internal static uint Read(ReadOnlySpan<byte> bytes, bool isBigEndian) =>
        isBigEndian ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private static Format? FormatOf(ReadOnlySpan<byte> machine) =>
        machine.SequenceEqual("amd64"u8) ? new(24, LastVersion: 3, DumpAvailSince: 3, DumpAvailAt: 64)
        : machine.SequenceEqual("arm64"u8) ? new(24, LastVersion: 3, DumpAvailSince: 2, DumpAvailAt: 72, FlagsAt: 76)
        : machine.SequenceEqual("riscv"u8) ? new(24, LastVersion: 2, DumpAvailSince: 2, DumpAvailAt: 72)
        : machine.SequenceEqual("i386"u8) ? new(24, LastVersion: 2, DumpAvailSince: 2, DumpAvailAt: 48)
        : machine.SequenceEqual("arm"u8) ? new(24, LastVersion: 2, DumpAvailSince: 2, DumpAvailAt: 52)
        : machine.SequenceEqual("mips"u8) ? new(24, LastVersion: 2, DumpAvailSince: 2, DumpAvailAt: 64)
        : machine.SequenceEqual("powerpc64"u8) ? new(64, LastVersion: 2, DumpAvailSince: 2, DumpAvailAt: 136)
        : null;

    /// <summary>Where one machine's header has its fields; the sizes of message buffer, bitmap and page tables follow the version.</summary>
    private readonly record struct Format(int VersionAt, uint LastVersion, uint DumpAvailSince, int DumpAvailAt, int FlagsAt = 0);
}
