using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage;

/// <summary>The bytes of a ledger: a file header, two places for the session's state, then records that are only ever appended.</summary>
/// <remarks>
/// File header: <c>"netdump-ledg"</c>, u32 version. State: u32 CRC32C over the rest, u32 number, the state; written in turns, the higher number with a right CRC counts.
/// Record: u32 payload bytes, u16 type, u32 CRC32C over type and payload, payload. Little-endian.
/// A record that a crash tore, and everything after it, is not there (<see cref="LedgerFile"/>).
/// </remarks>
internal static class LedgerFormat
{
    public const int MagicBytes = 16;
    public const int StateHeaderBytes = 8;

    /// <summary>One place for a state with its header.</summary>
    public const int StatePlaceBytes = StateHeaderBytes + DumpSession.StateBytes;

    /// <summary>What comes before the first record.</summary>
    public const int FileHeaderBytes = MagicBytes + 2 * StatePlaceBytes;

    public const int RecordHeaderBytes = 10;
    public const int KeyPrefixBytes = 8;
    public const int EndpointBytes = 14;
    public const int RangeBytes = 16;

    /// <summary>Longest payload; larger than any UDP datagram, small enough that a corrupt length costs no memory.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    private const uint FormatVersion = 2;

    private static ReadOnlySpan<byte> Magic => "netdump-ledg"u8;

    public static void WriteFileHeader(Span<byte> header)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], FormatVersion);
    }

    public static bool HasFileHeader(ReadOnlySpan<byte> file) =>
        file.Length >= FileHeaderBytes && file.StartsWith(Magic) && BinaryPrimitives.ReadUInt32LittleEndian(file[12..]) == FormatVersion;

    /// <summary>Where in the file the state with this number lies.</summary>
    public static int StateOffset(uint number) => MagicBytes + (int)(number % 2) * StatePlaceBytes;

    /// <summary>Writes the header of the state that follows it in <paramref name="place"/>.</summary>
    public static void SealState(Span<byte> place, uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(place[4..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(place, ~Crc32C(uint.MaxValue, place[4..StatePlaceBytes]));
    }

    /// <summary>The newest whole state, or null when there is none yet.</summary>
    public static byte[]? NewestState(ReadOnlySpan<byte> file, out uint number)
    {
        byte[]? newest = null;
        number = 0;
        for (uint i = 0; i < 2; i++)
        {
            var place = file.Slice(StateOffset(i), StatePlaceBytes);
            uint its = BinaryPrimitives.ReadUInt32LittleEndian(place[4..]);
            if (its == 0 || its < number || ~Crc32C(uint.MaxValue, place[4..]) != BinaryPrimitives.ReadUInt32LittleEndian(place))
                continue;
            newest = place[StateHeaderBytes..].ToArray();
            number = its;
        }

        return newest is not null && DumpSession.IsState(newest) ? newest : null;
    }

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

    public static byte[] EndpointPayload(in DumpEndpoint endpoint)
    {
        byte[] payload = new byte[EndpointBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, endpoint.Local.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(4), endpoint.LocalPort);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(6), endpoint.RemotePort);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(8), endpoint.AckPort);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(10), endpoint.HeraldSeqno);
        return payload;
    }

    public static DumpEndpoint ReadEndpoint(ReadOnlySpan<byte> payload) => new(
        new(BinaryPrimitives.ReadUInt32LittleEndian(payload)),
        BinaryPrimitives.ReadUInt16LittleEndian(payload[4..]),
        BinaryPrimitives.ReadUInt16LittleEndian(payload[6..]),
        BinaryPrimitives.ReadUInt16LittleEndian(payload[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(payload[10..]));

    public static byte[] CommittingPayload(string core, string manifest) => Encoding.UTF8.GetBytes($"{core}\0{manifest}");

    /// <summary>Epoch and node: the payload of <see cref="LedgerRecordType.Owner"/>, and what a <see cref="LedgerRecordType.Segment"/> begins with.</summary>
    public static byte[] OwnerPayload(int epoch, string node)
    {
        byte[] name = Encoding.UTF8.GetBytes(node);
        byte[] payload = new byte[5 + name.Length];
        BinaryPrimitives.WriteInt32LittleEndian(payload, epoch);
        payload[4] = checked((byte)name.Length);
        name.CopyTo(payload.AsSpan(5));
        return payload;
    }

    /// <summary>As <see cref="OwnerPayload"/>, of the node before, and the dump's id behind it.</summary>
    public static byte[] PartOfPayload(DumpContinuation continues) => [.. OwnerPayload(continues.Epoch, continues.Node), .. Encoding.UTF8.GetBytes(continues.Id)];

    private static LedgerRecord.Owner? ReadOwner(ReadOnlySpan<byte> payload, out int usedBytes)
    {
        usedBytes = payload.Length < 5 ? int.MaxValue : 5 + payload[4];
        return usedBytes <= payload.Length && BinaryPrimitives.ReadInt32LittleEndian(payload) is > 0 and var epoch ? new(epoch, Encoding.UTF8.GetString(payload[5..usedBytes])) : null;
    }

    private static LedgerRecord.Committing? ReadCommitting(ReadOnlySpan<byte> payload) =>
        Encoding.UTF8.GetString(payload).Split('\0') is [{ Length: > 0 } core, { Length: > 0 } manifest] && !core.Contains('/') && !manifest.Contains('/') ? new(core, manifest) : null;

    private static ByteRange[] ReadRanges(ReadOnlySpan<byte> payload)
    {
        var ranges = new ByteRange[payload.Length / RangeBytes];
        for (int i = 0; i < ranges.Length; i++)
            ranges[i] = new(BinaryPrimitives.ReadUInt64LittleEndian(payload[(i * RangeBytes)..]), BinaryPrimitives.ReadUInt64LittleEndian(payload[(i * RangeBytes + 8)..]));
        return ranges;
    }

    public static byte[] RangesPayload(ReadOnlySpan<ByteRange> ranges)
    {
        byte[] payload = new byte[ranges.Length * RangeBytes];
        for (int i = 0; i < ranges.Length; i++)
            WriteRange(payload.AsSpan(i * RangeBytes), ranges[i]);
        return payload;
    }

    public static void WriteRange(Span<byte> bytes, ByteRange range)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, range.Start);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], range.End);
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
            case LedgerRecordType.Endpoint when payload.Length == EndpointBytes:
                return new LedgerRecord.Endpoint(ReadEndpoint(payload));
            case LedgerRecordType.Stored or LedgerRecordType.Damaged or LedgerRecordType.Overwritten or LedgerRecordType.Rewritten when payload.Length % RangeBytes == 0:
                return new LedgerRecord.Ranges((LedgerRecordType)type, ReadRanges(payload));
            case LedgerRecordType.Committing:
                return ReadCommitting(payload);
            case LedgerRecordType.Checkpoint when payload.Length >= DumpSession.StateBytes && (payload.Length - DumpSession.StateBytes) % RangeBytes == 0:
                return new LedgerRecord.Checkpoint(payload[..DumpSession.StateBytes].ToArray(), ReadRanges(payload[DumpSession.StateBytes..]));
            case LedgerRecordType.SyncFailed:
                return new LedgerRecord.SyncFailed();
            case LedgerRecordType.Owner:
                return ReadOwner(payload, out int ownerBytes) is { } owner && ownerBytes == payload.Length ? owner : null;
            case LedgerRecordType.Segment:
                return ReadOwner(payload, out int segmentBytes) is { } of && (payload.Length - segmentBytes) % RangeBytes == 0
                    ? new LedgerRecord.Segment(of.Epoch, of.Node, ReadRanges(payload[segmentBytes..]))
                    : null;
            case LedgerRecordType.Continued when payload.Length is 0 or DumpSession.StateBytes:
                return new LedgerRecord.Continued(payload.ToArray());
            case LedgerRecordType.PartOf:
                return ReadOwner(payload, out int beforeBytes) is { } before && beforeBytes < payload.Length
                    ? new LedgerRecord.PartOf(new(Encoding.UTF8.GetString(payload[beforeBytes..]), before.Node, before.Epoch))
                    : null;
            case >= LedgerRecordType.Opened and <= LedgerRecordType.PartOf:
                return null;
            default:
                return new LedgerRecord.Unknown(type);
        }
    }

    public static uint Crc32C(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return crc;
    }
}
