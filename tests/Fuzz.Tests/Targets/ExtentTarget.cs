using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Protocol.Tests.Minidump;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The start of a dump, from which its length is told.</summary>
internal sealed class ExtentTarget : FuzzTarget
{
    public override string Name => "extent";

    public override int TestInputs => 60_000;

    public override IReadOnlyList<byte[]> Words { get; } = [[.. "minidump FreeBSD/"u8], [.. "arm64\0"u8], [.. "i386\0"u8], [.. "powerpc64\0"u8], [3, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0x40], [0xff, 0xff, 0xff, 0xff]];

    public override long MostAllocatedBytes(int inputBytes) => 0;

    public override IEnumerable<byte[]> Seeds() =>
        [Golden("head-none-none.bin")[..MinidumpExtent.HeaderBytes], .. SampleMinidump.Kinds.Select(kind => SampleMinidump.Whole(kind, 100, [0x12, 0xff], 64)[..MinidumpExtent.HeaderBytes])];

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        var read = MinidumpExtent.Read(input);
        ulong pages = MinidumpExtent.CountPages(input);
        run.Leave();
        Check(pages <= (ulong)input.Length * 8, "a bit is one page");
        run.Saw(0, FuzzRun.Bucket((long)pages), read is null ? 0 : 1);
        if (read is not { } extent)
            return;

        ulong most = extent.TotalBytes(extent.Bitmap.Length * 8);
        Check(extent.Bitmap.Start >= 2 * (ulong)extent.PageBytes && extent.Bitmap.Start < extent.Bitmap.End, "the bitmap follows header and messages");
        Check(extent.Bitmap.Length <= MinidumpExtent.MaxBitmapBytes && extent.Bitmap.End <= extent.BytesBeforePages && most < 1ul << 48, "no size is absurd");
        run.Saw(1, FuzzRun.Bucket((long)extent.Bitmap.Start), FuzzRun.Bucket((long)extent.Bitmap.Length), FuzzRun.Bucket((long)extent.BytesBeforePages));
    }
}
