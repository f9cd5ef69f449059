using System.Buffers.Binary;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>An owner of a shared dump has ended it: everything that any node needs to bring its commit to the end, always to the same one.</summary>
/// <remarks>
/// It is named as the next owner's ledger would be, so that one exclusive name decides who was first: whoever goes on with the dump, or whoever ends it.
/// Little-endian: <c>"netdump-cmit"</c>, u32 version, u32 CRC32C over the rest; then what <see cref="WriteFields"/> writes. It is whole when it gets its name.
/// </remarks>
internal sealed record CommitMarker
{
    private const int MagicBytes = 12;
    internal const int HeaderBytes = 20;
    private const uint FormatVersion = 1;

    /// <summary>Longest marker that is read: a manifest, and ranges of many owners.</summary>
    public const int MaxBytes = 256 << 20;

    public required DumpIdentity Identity { get; init; }
    public required DumpEndpoint Endpoint { get; init; }

    /// <summary>The owner that ended the dump.</summary>
    public required int Epoch { get; init; }

    public required CoreNames Names { get; init; }

    /// <summary>FINISHED may be acked: the manifest says so.</summary>
    public required bool IsWhole { get; init; }

    /// <summary>Length of the joined file.</summary>
    public required ulong LengthBytes { get; init; }

    /// <summary>The owner whose segment becomes the joined file; 0 where that is a file of its own.</summary>
    public required int BaseEpoch { get; init; }

    /// <summary>Where the bytes are, all of them below <see cref="LengthBytes"/>.</summary>
    public required IReadOnlyList<Segment> Segments { get; init; }

    /// <summary>The manifest's text.</summary>
    public required ReadOnlyMemory<byte> Manifest { get; init; }

    /// <summary>The info file's text.</summary>
    public required ReadOnlyMemory<byte> Info { get; init; }

    /// <summary>The key blob; empty where none came.</summary>
    public required ReadOnlyMemory<byte> Key { get; init; }

    private static ReadOnlySpan<byte> Magic => "netdump-cmit"u8;

    /// <summary>A file that begins like this is a marker, whole or not.</summary>
    public static bool IsMarker(ReadOnlySpan<byte> file) => file.StartsWith(Magic);

    public byte[] ToBytes()
    {
        using var bytes = new MemoryStream();
        bytes.Write(stackalloc byte[HeaderBytes]);
        using (var to = new BinaryWriter(bytes, Encoding.UTF8, leaveOpen: true))
            WriteFields(to);
        byte[] file = bytes.ToArray();
        Seal(file);
        return file;
    }

    /// <summary>Writes the header for what follows it.</summary>
    internal static void Seal(Span<byte> file)
    {
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file[MagicBytes..], FormatVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(file[(MagicBytes + 4)..], ~LedgerFormat.Crc32C(uint.MaxValue, file[HeaderBytes..]));
    }

    /// <summary>Reads a marker; null when it is not whole or says what no marker says.</summary>
    public static CommitMarker? Read(ReadOnlySpan<byte> file)
    {
        if (file.Length < HeaderBytes || !IsMarker(file) || BinaryPrimitives.ReadUInt32LittleEndian(file[MagicBytes..]) != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(file[(MagicBytes + 4)..]) != ~LedgerFormat.Crc32C(uint.MaxValue, file[HeaderBytes..]))
            return null;

        var from = new MarkerReader(file[HeaderBytes..]);
        var marker = Read(ref from);
        return from.IsGood && from.IsAtEnd && marker.IsSensible() ? marker : null;
    }

    private void WriteFields(BinaryWriter to)
    {
        to.Write(Identity.Client.Value);
        to.Write(Identity.StartedAt.UtcTicks);
        Write(to, Identity.Id);
        to.Write(LedgerFormat.EndpointPayload(Endpoint));
        to.Write(Epoch);
        Write(to, Names.Host);
        to.Write(Names.Index);
        Write(to, Names.Core);
        to.Write(IsWhole);
        to.Write(LengthBytes);
        to.Write(BaseEpoch);
        Write(to, Manifest.Span);
        Write(to, Info.Span);
        Write(to, Key.Span);
        to.Write(Segments.Count);
        foreach (var segment in Segments)
        {
            to.Write(segment.Epoch);
            Write(to, segment.Node);
            to.Write(segment.Ranges.Count);
            foreach (var range in segment.Ranges)
            {
                to.Write(range.Start);
                to.Write(range.End);
            }
        }
    }

    private static CommitMarker Read(ref MarkerReader from)
    {
        var client = new Ipv4(from.U32());
        var startedAt = from.Time();
        return new()
        {
            Identity = new(from.Text(), client, startedAt),
            Endpoint = LedgerFormat.ReadEndpoint(from.Take(LedgerFormat.EndpointBytes)),
            Epoch = from.I32(),
            Names = new() { Host = from.Text(), Index = from.I64(), Core = from.Text() },
            IsWhole = from.Flag(),
            LengthBytes = from.U64(),
            BaseEpoch = from.I32(),
            Manifest = from.Blob(),
            Info = from.Blob(),
            Key = from.Blob(),
            Segments = from.Segments(),
        };
    }

    /// <summary>Nothing it says leads anywhere else, and no two segments have a byte in common.</summary>
    private bool IsSensible()
    {
        if (Epoch < 1 || LengthBytes > long.MaxValue || !HostFileName.IsAllowed(Names.Host) || CoreNames.IndexOf(Names.Core, Names.Host) != Names.Index
            || Identity.Id.Length == 0 || Identity.Id.AsSpan().ContainsAny('/', '\0') || (BaseEpoch != 0 && BaseEpoch != Epoch))
            return false;

        int epoch = 0;
        ulong bytes = 0;
        foreach (var segment in Segments)
        {
            ulong at = 0;
            if (segment.Epoch <= epoch || segment.Epoch > Epoch)
                return false;
            foreach (var range in segment.Ranges)
            {
                if (range.Start >= range.End || range.Start < at || range.End > LengthBytes)
                    return false;
                at = range.End;
                bytes += range.Length;
            }

            epoch = segment.Epoch;
        }

        return bytes <= LengthBytes && RangeList.ToCoverage(Segments.SelectMany(segment => segment.Ranges)).CoveredBytes == bytes;
    }

    private static void Write(BinaryWriter to, string text) => Write(to, Encoding.UTF8.GetBytes(text));

    private static void Write(BinaryWriter to, ReadOnlySpan<byte> bytes)
    {
        to.Write(bytes.Length);
        to.Write(bytes);
    }
}

/// <summary>Reads a marker's fields; once one is not there, none that follows is.</summary>
internal ref struct MarkerReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _left = bytes;

    public bool IsGood { get; private set; } = true;

    public readonly bool IsAtEnd => _left.IsEmpty;

    public uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public int I32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public ulong U64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    public long I64() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    public bool Flag() => Take(1)[0] != 0;

    public DateTimeOffset Time()
    {
        long ticks = I64();
        IsGood &= ticks >= 0 && ticks <= DateTime.MaxValue.Ticks;
        return IsGood ? new(ticks, TimeSpan.Zero) : default;
    }

    public string Text() => Encoding.UTF8.GetString(Counted(elementBytes: 1, out _));

    public byte[] Blob() => Counted(elementBytes: 1, out _).ToArray();

    public List<Segment> Segments()
    {
        const int LeastBytes = 12;
        int count = Count(LeastBytes);
        var segments = new List<Segment>(count);
        for (; count > 0 && IsGood; count--)
        {
            int epoch = I32();
            string node = Text();
            var bytes = Counted(LedgerFormat.RangeBytes, out int ranges);
            var values = new ByteRange[ranges];
            for (int i = 0; i < ranges; i++, bytes = bytes[LedgerFormat.RangeBytes..])
                values[i] = new(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
            segments.Add(new(epoch, node, values));
        }

        return segments;
    }

    /// <summary>The next bytes; zeros once they are not there.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (IsGood && count <= _left.Length)
        {
            var taken = _left[..count];
            _left = _left[count..];
            return taken;
        }

        IsGood = false;
        return new byte[count];
    }

    private ReadOnlySpan<byte> Counted(int elementBytes, out int count)
    {
        count = Count(elementBytes);
        return Take(count * elementBytes);
    }

    /// <summary>A number of elements that can still follow; 0 once that is not so.</summary>
    private int Count(int elementBytes)
    {
        int count = I32();
        IsGood &= count >= 0 && count <= _left.Length / elementBytes;
        return IsGood ? count : 0;
    }
}
