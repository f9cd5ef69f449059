using System.IO.Compression;
using NetdumpCollector.Protocol.Minidump;
using NetdumpCollector.Protocol.Tests.Minidump;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The start of a dump, in which the panic message is looked for: as it is, and compressed by us or by a kernel.</summary>
/// <remarks>The first byte says how the others are packed, the second in what pieces they come.</remarks>
internal sealed class MinidumpTarget : FuzzTarget
{
    private const string Messages = "---<<BOOT>>---\nhello\n<2>panic: page fault\ncpuid = 0\n";

    public override string Name => "minidump";

    public override int TestInputs => 6000;

    public override int MaxInputBytes => 40 << 10;

    public override IReadOnlyList<byte[]> Words { get; } = [[.. "panic: "u8], [.. "\npanic: x\n"u8], [.. "minidump FreeBSD/"u8], [.. "arm64\0"u8], [.. "powerpc64\0"u8], [0x62, 0x30, 0x06, 0], [0x1f, 0x8b, 8], [0x28, 0xb5, 0x2f, 0xfd]];

    // The message buffer of up to 4 MiB and its copy, taken from a pool that rounds the copy up to 8 MiB.
    public override long MostAllocatedBytes(int inputBytes) => 13L << 20;

    public override IEnumerable<byte[]> Seeds()
    {
        foreach (string machine in (string[])["amd64", "arm64", "i386", "riscv"])
            yield return [0, 40, .. SampleMinidump.Create(machine, Messages, SampleMinidump.RingBytes - 30)];
        yield return [0, 5, .. SampleMinidump.Create("powerpc64", Messages, isBigEndian: true)];
        yield return [0, 1, .. SampleMinidump.Create("arm64", Messages, ringBytes: 16000, pageBytes: 16384)];
        yield return [0, 255, .. Golden("head-none-none.bin").AsSpan(0, 16384)];
        yield return [0, 255, .. Golden("head-gzip-none.bin")];
        yield return [0, 255, .. Golden("head-zstd-none.bin")];
        yield return [0, 255, .. Golden("head-none-aes.bin").AsSpan(0, 4096)];
        yield return [1, 20, .. SampleMinidump.Amd64(Messages)];
        yield return [2, 20, .. SampleMinidump.Amd64(Messages, hasStruct: false)];
        // A bomb: 8 MiB of zeros behind a header that asks for all of them.
        byte[] bomb = new byte[8 << 20];
        SampleMinidump.Create("amd64", Messages, ringBytes: PanicPeek.MaxMessageBufferBytes).AsSpan(0, 4096).CopyTo(bomb);
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize))
            gzip.Write(bomb);
        yield return [0, 255, .. packed.ToArray()];
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        if (input.Length < 2)
            return;

        byte[] dump = (input[0] % 8) switch
        {
            1 => SampleMinidump.Gzip(input[2..]),
            2 => SampleMinidump.Zstd(input[2..]),
            _ => input[2..].ToArray(),
        };
        string? whole = Peek(dump, dump.Length, run);
        int piece = 1 + (input[1] * 97);
        Check(whole == Peek(dump, piece, run), $"pieces of {piece} bytes give another message");
    }

    private static string? Peek(byte[] dump, int piece, FuzzRun run)
    {
        run.Enter();
        using var peek = new PanicPeek(new());
        for (int at = 0; at < dump.Length; at += piece)
            peek.Feed(dump.AsSpan(at, Math.Min(piece, dump.Length - at)));
        run.Leave();
        Check(peek.IsOver || peek.NextOffset == dump.Length, "all bytes are taken until the message is known");
        Check(peek.Message is null || !peek.Message.Any(char.IsControl), "the message is printable");
        run.Saw(0, peek.IsOver ? 1 : 0, peek.Message is null ? 0 : FuzzRun.Bucket(peek.Message.Length), FuzzRun.Bucket(peek.NextOffset));
        return peek.Message;
    }
}
