using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>The bytes of a ledger: a file header, then records that are only ever appended.</summary>
/// <remarks>
/// File header: <c>"netdump-ledg"</c>, u32 version. Record: u32 payload bytes, u16 type, u32 CRC32C over type and payload, payload. Little-endian.
/// A record that a crash tore, and everything after it, is not there (<see cref="LedgerFile"/>).
/// </remarks>
internal static class LedgerFormat
{
    public const int FileHeaderBytes = 16;
    public const int RecordHeaderBytes = 10;
    public const int KeyPrefixBytes = 8;

    /// <summary>Longest payload; larger than any UDP datagram, small enough that a corrupt length costs no memory.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    private const uint FormatVersion = 1;

    private static ReadOnlySpan<byte> Magic => "netdump-ledg"u8;

    public static void WriteFileHeader(Span<byte> header)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], FormatVersion);
    }

    public static bool HasFileHeader(ReadOnlySpan<byte> file) =>
        file.Length >= FileHeaderBytes && file.StartsWith(Magic) && BinaryPrimitives.ReadUInt32LittleEndian(file[12..]) == FormatVersion;

    /// <summary>Writes the header of a record whose payload is <paramref name="prefix"/> followed by <paramref name="rest"/>.</summary>
    public static void WriteRecordHeader(Span<byte> header, LedgerRecordType type, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> rest)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)(prefix.Length + rest.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], (ushort)type);
        uint crc = Crc32C(Crc32C(Crc32C(uint.MaxValue, header.Slice(4, 2)), prefix), rest);
        BinaryPrimitives.WriteUInt32LittleEndian(header[6..], ~crc);
    }

    public static byte[] OpenedPayload(LedgerRecord.Opened opened)
    {
        byte[] id = Encoding.UTF8.GetBytes(opened.Identity.Id);
        byte[] payload = new byte[4 + 8 + 16 + id.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, opened.Identity.Client.Value);
        BinaryPrimitives.WriteInt64LittleEndian(payload.AsSpan(4), opened.Identity.StartedAt.UtcTicks);
        opened.BootId.TryWriteBytes(payload.AsSpan(12), bigEndian: true, out _);
        id.CopyTo(payload.AsSpan(28));
        return payload;
    }

    /// <summary>Reads the record at the start of <paramref name="file"/>; false when it is torn, corrupt or not there.</summary>
    public static bool TryReadRecord(ReadOnlySpan<byte> file, out LedgerRecord? record, out int usedBytes)
    {
        record = null;
        usedBytes = 0;
        if (file.Length < RecordHeaderBytes)
            return false;

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(file);
        if (length > MaxPayloadBytes || length > (uint)(file.Length - RecordHeaderBytes))
            return false;

        var payload = file.Slice(RecordHeaderBytes, (int)length);
        uint crc = Crc32C(Crc32C(uint.MaxValue, file.Slice(4, 2)), payload);
        if (~crc != BinaryPrimitives.ReadUInt32LittleEndian(file[6..]))
            return false;

        usedBytes = RecordHeaderBytes + (int)length;
        record = Decode(BinaryPrimitives.ReadUInt16LittleEndian(file[4..]), payload);
        return record is not null;
    }

    private static LedgerRecord? Decode(ushort type, ReadOnlySpan<byte> payload)
    {
        switch ((LedgerRecordType)type)
        {
            case LedgerRecordType.Opened when payload.Length >= 28 && BinaryPrimitives.ReadInt64LittleEndian(payload[4..]) is var ticks
                && ticks >= 0 && ticks <= DateTime.MaxValue.Ticks:
                var client = new Ipv4(BinaryPrimitives.ReadUInt32LittleEndian(payload));
                return new LedgerRecord.Opened(new(Encoding.UTF8.GetString(payload[28..]), client, new(ticks, TimeSpan.Zero)), new(payload.Slice(12, 16), bigEndian: true));
            case LedgerRecordType.Kdh when payload.Length == KernelDumpHeader.SizeBytes:
                return new LedgerRecord.Kdh(payload.ToArray());
            case LedgerRecordType.Key when payload.Length >= KeyPrefixBytes:
                return new LedgerRecord.Key(BinaryPrimitives.ReadUInt64LittleEndian(payload), payload[KeyPrefixBytes..].ToArray());
            case LedgerRecordType.Opened or LedgerRecordType.Kdh or LedgerRecordType.Key:
                return null;
            default:
                return new LedgerRecord.Unknown(type);
        }
    }

    private static uint Crc32C(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return crc;
    }
}
