using System.Buffers.Binary;
using System.Text;

namespace NetdumpCollector.Protocol;

/// <summary>How the kernel compressed the dump before sending it.</summary>
public enum DumpCompression : byte
{
    None = 0,
    Gzip = 1,
    Zstd = 2,
}

/// <summary>The kernel dump header (KDH) that ends a transfer and says what was dumped.</summary>
/// <remarks>
/// Integers are big-endian in every version. Texts are printable: bytes that are not UTF-8 and control characters appear as <c>\xNN</c>,
/// because they go to terminals, info files and logs.
/// Source: protocol.md, section 3; FreeBSD sys/sys/kerneldump.h.
/// </remarks>
public sealed record KernelDumpHeader
{
    public const int SizeBytes = 512;
    public const string DumpMagic = "FreeBSD Kernel Dump";
    public const string TextDumpMagic = "FreeBSD Text Dump";

    /// <summary>The 512 bytes as received.</summary>
    public required ReadOnlyMemory<byte> Raw { get; init; }

    public required string Magic { get; init; }
    public required string Architecture { get; init; }

    /// <summary>Layout version, 1 to 4 where known.</summary>
    public required uint Version { get; init; }
    public required uint ArchitectureVersion { get; init; }

    /// <summary>Bytes of the dump; for compressed dumps, of the compressed stream.</summary>
    public required ulong DumpLength { get; init; }

    /// <summary>When the dump was made.</summary>
    public required DateTimeOffset DumpTime { get; init; }

    /// <summary>Bytes of the EKCD key blob, 0 for dumps in clear.</summary>
    public required uint DumpKeySize { get; init; }
    public required uint BlockSize { get; init; }
    public required DumpCompression Compression { get; init; }
    public required string Hostname { get; init; }
    public required string VersionString { get; init; }
    public required string PanicString { get; init; }

    /// <summary>The XOR of all 128 words is 0.</summary>
    public required bool ParityPasses { get; init; }

    public bool MagicIsKnown => Magic is DumpMagic or TextDumpMagic;

    /// <summary>The header can be believed: magic, version and parity are right and a length is given.</summary>
    public bool IsValid => MagicIsKnown && ParityPasses && Version is >= 1 and <= 4 && DumpLength > 0;

    public bool IsEncrypted => DumpKeySize > 0;

    /// <summary>Reads a header; null when <paramref name="payload"/> is not 512 bytes. A header that is wrong inside is returned, not <see cref="IsValid"/>.</summary>
    public static KernelDumpHeader? Read(ReadOnlySpan<byte> payload)
    {
        if (payload.Length != SizeBytes)
            return null;

        uint parity = 0;
        for (int i = 0; i < SizeBytes; i += sizeof(uint))
            parity ^= BinaryPrimitives.ReadUInt32BigEndian(payload[i..]);

        uint version = BinaryPrimitives.ReadUInt32BigEndian(payload[32..]);
        var layout = Layout.Of(version);
        byte compression = layout.Compression is int at ? payload[at] : (byte)0;
        return new()
        {
            Raw = payload.ToArray(),
            Magic = Text(payload[..20]),
            Architecture = Text(payload[20..32]),
            Version = version,
            ArchitectureVersion = BinaryPrimitives.ReadUInt32BigEndian(payload[36..]),
            DumpLength = BinaryPrimitives.ReadUInt64BigEndian(payload[40..]),
            DumpTime = Time(BinaryPrimitives.ReadUInt64BigEndian(payload[layout.DumpTime..])),
            DumpKeySize = layout.KeySize is int key ? BinaryPrimitives.ReadUInt32BigEndian(payload[key..]) : 0,
            BlockSize = BinaryPrimitives.ReadUInt32BigEndian(payload[layout.BlockSize..]),
            Compression = (DumpCompression)compression,
            Hostname = Text(payload.Slice(layout.Hostname, 64)),
            VersionString = Text(payload.Slice(layout.VersionString, 192)),
            PanicString = Text(payload.Slice(layout.PanicString, layout.PanicStringBytes)),
            ParityPasses = parity == 0,
        };
    }

    /// <summary>Makes a version 4 header, parity included, as a FreeBSD 13 or 14 kernel would send it.</summary>
    public static byte[] Create(string architecture, ulong dumpLength, DateTimeOffset dumpTime, uint keySize, uint blockSize,
        DumpCompression compression, string hostname, string versionString, string panicString)
    {
        var layout = Layout.Of(4);
        byte[] raw = new byte[SizeBytes];
        Put(raw, 0, 20, DumpMagic);
        Put(raw, 20, 12, architecture);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(32), 4);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(36), 2);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(40), dumpLength);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(layout.DumpTime), (ulong)dumpTime.ToUnixTimeSeconds());
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(layout.KeySize!.Value), keySize);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(layout.BlockSize), blockSize);
        raw[layout.Compression!.Value] = (byte)compression;
        Put(raw, layout.Hostname, 64, hostname);
        Put(raw, layout.VersionString, 192, versionString);
        Put(raw, layout.PanicString, layout.PanicStringBytes, panicString);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(496), dumpLength);

        uint parity = 0;
        for (int i = 0; i < SizeBytes; i += sizeof(uint))
            parity ^= BinaryPrimitives.ReadUInt32BigEndian(raw.AsSpan(i));
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(508), parity);
        return raw;
    }

    /// <summary>Field positions that moved between versions; an unknown version is read like the newest.</summary>
    private readonly record struct Layout(int DumpTime, int? KeySize, int BlockSize, int? Compression, int Hostname, int VersionString, int PanicString, int PanicStringBytes)
    {
        public static Layout Of(uint version) => version switch
        {
            1 => new(48, null, 56, null, 60, 124, 316, 192),
            2 => new(48, 56, 60, null, 64, 128, 320, 188),
            3 => new(56, 64, 68, 72, 73, 137, 329, 179),
            _ => new(48, 56, 60, 495, 64, 128, 320, 175),
        };
    }

    private static DateTimeOffset Time(ulong seconds) =>
        DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(seconds, (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds()));

    private static void Put(byte[] raw, int at, int size, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        bytes.AsSpan(0, Math.Min(bytes.Length, size - 1)).CopyTo(raw.AsSpan(at));
    }

    private static string Text(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        return PrintableText.From(end < 0 ? field : field[..end]);
    }
}
