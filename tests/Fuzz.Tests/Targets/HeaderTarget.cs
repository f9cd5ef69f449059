using System.Buffers.Binary;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The kernel dump header, and the texts of strangers that info file and manifest are made of.</summary>
internal sealed class HeaderTarget : FuzzTarget
{
    private static readonly TimeZoneInfo[] s_zones = [TimeZoneInfo.Utc, TimeZoneInfo.CreateCustomTimeZone("east", TimeSpan.FromHours(14), "east", "east"), TimeZoneInfo.CreateCustomTimeZone("west", TimeSpan.FromHours(-12), "west", "west")];

    public override string Name => "kdh";

    public override int TestInputs => 30_000;

    public override int MaxInputBytes => 600;

    public override IReadOnlyList<byte[]> Words { get; } = [[.. "\nDump complete\n"u8], [.. "\x1b[31m"u8], [0xe2, 0x80, 0xae], [0xf0, 0x9f, 0x98], [0xed, 0xa0, 0x80], [.. "FreeBSD Text Dump"u8]];

    // Each byte of a text may become four characters, and is formatted for it; the texts come in header, info file and manifest.
    public override long MostAllocatedBytes(int inputBytes) => 128 << 10;

    public override IEnumerable<byte[]> Seeds() =>
        [Golden("kdh-none-none.bin"), Golden("kdh-gzip-none.bin"), Golden("kdh-zstd-none.bin"), Golden("kdh-none-aes.bin"), Golden("kdh-none-chacha.bin"),
            .. ((uint[])[1, 2, 3]).Select(version =>
            {
                byte[] old = Golden("kdh-none-none.bin");
                BinaryPrimitives.WriteUInt32BigEndian(old.AsSpan(32), version);
                Repair(old);
                return old;
            })];

    /// <summary>The parity.</summary>
    public override void Repair(Span<byte> input)
    {
        if (input.Length != KernelDumpHeader.SizeBytes)
            return;
        uint parity = 0;
        for (int i = 0; i < KernelDumpHeader.SizeBytes - sizeof(uint); i += sizeof(uint))
            parity ^= BinaryPrimitives.ReadUInt32BigEndian(input[i..]);
        BinaryPrimitives.WriteUInt32BigEndian(input[^sizeof(uint)..], parity);
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        var header = KernelDumpHeader.Read(input);
        run.Leave();
        Check(header is null == (input.Length != KernelDumpHeader.SizeBytes), "512 bytes are a header, and nothing else is");
        if (header is null)
            return;

        run.Saw(0, header.Version, header.IsValid ? 1 : 0, header.MagicIsKnown ? 1 : 0);
        run.Saw(1, (long)header.Compression, header.IsEncrypted ? 1 : 0, FuzzRun.Bucket((long)header.DumpLength));
        foreach (string text in (string[])[header.Magic, header.Architecture, header.Hostname, header.VersionString, header.PanicString])
        {
            Check(!text.Any(c => char.IsControl(c) || c is '\u2028' or '\u2029' or '\u202e'), "texts are printable");
            run.Saw(2, FuzzRun.Bucket(text.Length), text.Contains('\\', StringComparison.Ordinal) ? 1 : 0);
        }

        var summary = Summaries.Of(header);
        foreach (var zone in s_zones)
        {
            run.Enter();
            string info = InfoFile.Text(summary, HostFileName.From(header.Hostname), Ipv4.Loopback, "m", zone);
            run.Leave();
            Check(!info.Contains("Dump complete", StringComparison.Ordinal), "only a complete dump says that it is");
            Check(info.Count(c => c == '\n') <= 14, "no text adds a line to the info file");
        }

        run.Enter();
        byte[] manifest = ManifestWriter.ToUtf8(Summaries.ManifestOf(summary, header.Hostname));
        run.Leave();
        var kdh = System.Text.Json.JsonSerializer.Deserialize(manifest, ManifestJson.Default.Manifest)!.Kdh!;
        Check(kdh.PanicString == header.PanicString && kdh.DumpTime == header.DumpTime && kdh.DumpLength == header.DumpLength, "a manifest says what the header says");
    }
}

/// <summary>Ended dumps for files that describe them.</summary>
internal static class Summaries
{
    public static DumpSummary Of(KernelDumpHeader? header) => new()
    {
        Status = DumpStatus.Incomplete,
        Reason = EndReason.Finished,
        Header = header,
        LengthBytes = 4096,
        CoveredBytes = 4096,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = true,
        PayloadBytes = 1448,
        Counters = default,
    };

    public static Manifest ManifestOf(DumpSummary summary, string hostname)
    {
        string host = HostFileName.From(hostname);
        var circumstances = new DumpCircumstances { Host = host, Endpoint = "shared", LocalAddress = Ipv4.Loopback, LocalPort = 1, EndedAt = DateTimeOffset.UnixEpoch, Duration = TimeSpan.Zero };
        return Manifest.Of(new("id", Ipv4.Loopback, DateTimeOffset.UnixEpoch), CoreNames.Of(summary, host, 1), summary, circumstances, 4096);
    }
}
