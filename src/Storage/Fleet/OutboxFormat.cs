using System.Buffers.Binary;
using System.Text;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>The bytes of an outbox: a header, then records that are only ever appended.</summary>
/// <remarks>
/// Header: <c>"netdump-outb"</c>, u32 version, the instance's number (16 bytes). Record: u32 payload bytes, u32 CRC32C over the payload, payload: the kind, then texts with a u32 length each.
/// Little-endian. A record that a crash tore, or that is corrupt, and everything after it, is not there. A later record of a dump stands for the earlier ones.
/// </remarks>
public static class OutboxFormat
{
    public const int HeaderBytes = 32;

    /// <summary>Longest payload; a manifest is cut to less.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    private const int RecordHeaderBytes = 8;
    private const uint FormatVersion = 1;
    private const byte ChangedKind = 1;
    private const byte RemovedKind = 2;

    private static ReadOnlySpan<byte> Magic => "netdump-outb"u8;

    /// <summary>The header of a new outbox.</summary>
    public static byte[] Header(Guid instance)
    {
        byte[] header = new byte[HeaderBytes];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(12), FormatVersion);
        instance.TryWriteBytes(header.AsSpan(16), bigEndian: true, out _);
        return header;
    }

    /// <summary>Reads a header; null where it is none of this version.</summary>
    public static Guid? InstanceOf(ReadOnlySpan<byte> file) =>
        file.Length >= HeaderBytes && file.StartsWith(Magic) && BinaryPrimitives.ReadUInt32LittleEndian(file[12..]) == FormatVersion ? new(file.Slice(16, 16), bigEndian: true) : null;

    /// <summary>The record of an entry; null where it is too long for one.</summary>
    public static byte[]? Record(OutboxEntry entry)
    {
        string[] texts = entry.Dump is { } dump ? [entry.DumpId, dump.Path, dump.Json, dump.Digest] : [entry.DumpId];
        byte[][] utf8 = [.. texts.Select(Encoding.UTF8.GetBytes)];
        long payloadBytes = 1 + utf8.Sum(text => 4L + text.Length);
        if (payloadBytes > MaxPayloadBytes)
            return null;

        byte[] record = new byte[RecordHeaderBytes + payloadBytes];
        record[RecordHeaderBytes] = entry.Dump is null ? RemovedKind : ChangedKind;
        var rest = record.AsSpan(RecordHeaderBytes + 1);
        foreach (byte[] text in utf8)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(rest, (uint)text.Length);
            text.CopyTo(rest[4..]);
            rest = rest[(4 + text.Length)..];
        }

        BinaryPrimitives.WriteUInt32LittleEndian(record, (uint)payloadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(4), Checksum(record.AsSpan(RecordHeaderBytes)));
        return record;
    }

    /// <summary>Reads the records that follow the header, up to the first that is not whole.</summary>
    /// <param name="file">All bytes of the file.</param>
    /// <param name="usedBytes">Where the next record goes.</param>
    public static IReadOnlyList<OutboxEntry> Read(ReadOnlySpan<byte> file, out int usedBytes)
    {
        var entries = new List<OutboxEntry>();
        usedBytes = Math.Min(HeaderBytes, file.Length);
        while (TryRead(file[usedBytes..], out var entry, out int recordBytes))
        {
            entries.Add(entry!);
            usedBytes += recordBytes;
        }

        return entries;
    }

    private static bool TryRead(ReadOnlySpan<byte> at, out OutboxEntry? entry, out int recordBytes)
    {
        (entry, recordBytes) = (null, 0);
        if (at.Length < RecordHeaderBytes)
            return false;
        uint payloadBytes = BinaryPrimitives.ReadUInt32LittleEndian(at);
        if (payloadBytes is 0 or > MaxPayloadBytes || payloadBytes > at.Length - RecordHeaderBytes)
            return false;
        var payload = at.Slice(RecordHeaderBytes, (int)payloadBytes);
        if (Checksum(payload) != BinaryPrimitives.ReadUInt32LittleEndian(at[4..]))
            return false;

        recordBytes = RecordHeaderBytes + payload.Length;
        int count = payload[0] switch { ChangedKind => 4, RemovedKind => 1, _ => 0 };
        var texts = new string[count];
        payload = payload[1..];
        for (int i = 0; i < count; i++)
        {
            if (payload.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(payload) is var length && length > payload.Length - 4)
                return false;
            texts[i] = Encoding.UTF8.GetString(payload.Slice(4, (int)length));
            payload = payload[(4 + (int)length)..];
        }

        if (count == 0 || !payload.IsEmpty)
            return false;
        entry = new(texts[0], count == 1 ? null : new(texts[1], texts[2], texts[3]));
        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> payload) => ~LedgerFormat.Crc32C(uint.MaxValue, payload);
}
