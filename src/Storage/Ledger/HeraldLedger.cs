using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A herald that was answered.</summary>
/// <param name="Client">The host.</param>
/// <param name="Endpoint">Where it was told to send to.</param>
/// <param name="At">When it came.</param>
/// <param name="Path">The path it asked for.</param>
public sealed record HeraldRecord(Ipv4 Client, DumpEndpoint Endpoint, DateTimeOffset At, byte[] Path);

/// <summary>A herald that an earlier process answered.</summary>
/// <param name="Place">Where it lies; it stays there until <see cref="HeraldLedger.Clear"/>.</param>
/// <param name="Herald">The herald.</param>
public sealed record RememberedHerald(int Place, HeraldRecord Herald)
{
    /// <summary>The place of a herald that lies in another node's file.</summary>
    public const int Elsewhere = -1;
}

/// <summary>The heralds that were answered and that nothing followed yet, in one file of fixed places: a kernel that got its answer sends on to the very port, also when the server was restarted in between.</summary>
/// <remarks>
/// <c>.heralds.PORT</c> in the dump directory: 64 bytes with <c>"netdump-hrld"</c>, u32 version and the boot id, then places: u32 CRC32C over the rest, u16 length of the path, client, endpoint, time, path.
/// One user at a time; not durable, because a kernel does not outlive a reboot of the server. In a directory that nodes share each has its own, <c>.running/heralds.PORT.NODE</c>,
/// and writes to the device, because the others read it when its packets come to them.
/// </remarks>
public sealed class HeraldLedger : IDisposable
{
    /// <summary>Heralds that are remembered; more are answered all the same.</summary>
    public const int MaxHeralds = 4096;

    private const int HeaderBytes = 64;
    internal const int PlaceBytes = 1088;
    internal const int FixedBytes = 4 + 2 + 4 + LedgerFormat.EndpointBytes + 8;
    private const uint FormatVersion = 1;

    private readonly SafeFileHandle _file;
    private readonly Stack<int> _free = new();

    private readonly bool _isShared;

    private HeraldLedger(SafeFileHandle file, IReadOnlyList<RememberedHerald> leftOver, bool isShared)
    {
        _file = file;
        _isShared = isShared;
        LeftOver = leftOver;
        var taken = leftOver.Select(remembered => remembered.Place).ToHashSet();
        for (int i = MaxHeralds - 1; i >= 0; i--)
        {
            if (!taken.Contains(i))
                _free.Push(i);
        }
    }

    private static ReadOnlySpan<byte> Magic => "netdump-hrld"u8;

    /// <summary>What an earlier process of the same boot left; it stays in the ledger, because this process may be killed before their kernels send on.</summary>
    public IReadOnlyList<RememberedHerald> LeftOver { get; }

    /// <summary>Takes over what an earlier process left; null where another process has the file or it cannot be made.</summary>
    public static HeraldLedger? Open(DumpDirectory directory, ushort port)
    {
        var file = directory.Sharing is { } sharing
            ? OpenShared(directory, SharedPrefixOf(port) + sharing.FileName)
            : directory.OpenHidden(string.Create(CultureInfo.InvariantCulture, $".heralds.{port}"));
        if (file is null)
            return null;

        if (Posix.Lock(file, Posix.LockExclusive | Posix.LockNonBlocking) == Errno.EAGAIN)
        {
            file.Dispose();
            return null;
        }

        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], FormatVersion);
        BootId.Current.TryWriteBytes(header[16..], bigEndian: true, out _);
        var leftOver = ReadFile(file, out var found);
        if (found.SequenceEqual(header))
            return new(file, leftOver, directory.Sharing is not null);
        if (Posix.Truncate(file, 0) == 0 && Posix.WriteAt(file, header, 0) == HeaderBytes)
            return new(file, [], directory.Sharing is not null);
        file.Dispose();
        return null;
    }

    /// <summary>All heralds that nodes of a shared directory have answered. Nothing is taken from them. Blocks.</summary>
    /// <exception cref="StorageException">The nodes' files cannot be looked for.</exception>
    internal static List<HeraldRecord> ReadAll(RunningDumps running, ushort port)
    {
        var heralds = new List<HeraldRecord>();
        foreach (string name in running.NamesOf(SharedPrefixOf(port)))
        {
            using var file = Posix.OpenAt(running.Handle, name, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
            // A node that is gone for good may have left one that cannot be read; the others count.
            if (file is not null)
                heralds.AddRange(ReadFile(file, out _).Select(remembered => remembered.Herald));
        }

        return heralds;
    }

    private static string SharedPrefixOf(ushort port) => string.Create(CultureInfo.InvariantCulture, $"heralds.{port}.");

    private static SafeFileHandle? OpenShared(DumpDirectory directory, string name)
    {
        try
        {
            var running = directory.Running();
            var file = Posix.OpenAt(running.Handle, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_NOFOLLOW | Posix.O_NONBLOCK, Posix.FileMode);
            // The name is to outlive this machine as what is written there does. Where it cannot, heralds are still remembered for this node's next process.
            if (file is not null)
                _ = running.Sync();
            return file;
        }
        catch (StorageException)
        {
            return null;
        }
    }

    /// <summary>Reads a file of places; <paramref name="header"/> is what it begins with.</summary>
    private static List<RememberedHerald> ReadFile(SafeFileHandle file, out ReadOnlySpan<byte> header)
    {
        // As much as there is: with nodes that share a directory it is read many times a second in a storm of heralds.
        byte[] found = new byte[Math.Min(LengthOf(file), HeaderBytes + MaxHeralds * PlaceBytes)];
        int length = Math.Max(0, Posix.ReadAt(file, found, 0));
        header = found.AsSpan(0, Math.Min(length, HeaderBytes));
        return length > HeaderBytes && header.StartsWith(Magic) && BinaryPrimitives.ReadUInt32LittleEndian(header[12..]) == FormatVersion ? Read(found.AsSpan(HeaderBytes..length)) : [];
    }

    private static long LengthOf(SafeFileHandle file)
    {
        try
        {
            return RandomAccess.GetLength(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return 0;
        }
    }

    /// <summary>A place for a herald; false when all are taken.</summary>
    public bool TryTake(out int place) => _free.TryPop(out place);

    /// <summary>Writes a herald into its place. Where that fails the herald is only not remembered.</summary>
    public void Write(int place, HeraldRecord herald)
    {
        int pathBytes = Math.Min(herald.Path.Length, PlaceBytes - FixedBytes);
        Span<byte> bytes = stackalloc byte[FixedBytes + pathBytes];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], (ushort)pathBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[6..], herald.Client.Value);
        LedgerFormat.EndpointPayload(herald.Endpoint).CopyTo(bytes[10..]);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[(10 + LedgerFormat.EndpointBytes)..], herald.At.UtcTicks);
        herald.Path.AsSpan(0, pathBytes).CopyTo(bytes[FixedBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, ~LedgerFormat.Crc32C(uint.MaxValue, bytes[4..]));
        _ = Posix.WriteAt(_file, bytes, HeaderBytes + (long)place * PlaceBytes);
        if (_isShared)
            _ = Posix.SyncData(_file);
    }

    /// <summary>Frees a place.</summary>
    public void Clear(int place)
    {
        _ = Posix.WriteAt(_file, stackalloc byte[FixedBytes], HeaderBytes + (long)place * PlaceBytes);
        _free.Push(place);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>Reads places; what is wrong in one is not there.</summary>
    internal static List<RememberedHerald> Read(ReadOnlySpan<byte> places)
    {
        var heralds = new List<RememberedHerald>();
        for (int place = 0; places.Length >= FixedBytes; place++, places = places[Math.Min(PlaceBytes, places.Length)..])
        {
            int pathBytes = BinaryPrimitives.ReadUInt16LittleEndian(places[4..]);
            uint client = BinaryPrimitives.ReadUInt32LittleEndian(places[6..]);
            long ticks = BinaryPrimitives.ReadInt64LittleEndian(places[(10 + LedgerFormat.EndpointBytes)..]);
            if (client == 0 || FixedBytes + pathBytes > Math.Min(PlaceBytes, places.Length) || ticks < 0 || ticks > DateTime.MaxValue.Ticks
                || ~LedgerFormat.Crc32C(uint.MaxValue, places[4..(FixedBytes + pathBytes)]) != BinaryPrimitives.ReadUInt32LittleEndian(places))
                continue;
            heralds.Add(new(place, new(new(client), LedgerFormat.ReadEndpoint(places[10..]), new(ticks, TimeSpan.Zero), places.Slice(FixedBytes, pathBytes).ToArray())));
        }

        return heralds;
    }
}
