using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>What could be read of a ledger.</summary>
/// <param name="Records">The records before the first torn or corrupt one, in the order they were written.</param>
/// <param name="EndsClean">Nothing follows them.</param>
/// <param name="State">The session's newest state, or null.</param>
/// <param name="StateNumber">Its number.</param>
/// <param name="LengthBytes">Where the next record goes.</param>
public sealed record LedgerContents(IReadOnlyList<LedgerRecord> Records, bool EndsClean, byte[]? State, uint StateNumber, long LengthBytes)
{
    /// <summary>Whose dump it is, or null when not even that record is whole.</summary>
    public LedgerRecord.Opened? Opened => Records.Count > 0 && Records[0] is LedgerRecord.Opened opened
        ? opened with { Identity = opened.Identity with { Continues = Records.OfType<LedgerRecord.PartOf>().FirstOrDefault()?.Continues } }
        : null;
}

/// <summary>Reads the ledger that lies beside a running dump: <c>partial.IP.ID.ledger</c>.</summary>
public static class LedgerFile
{
    /// <summary>Longest ledger that is read; the rest counts as torn.</summary>
    private const int MaxBytes = 256 << 20;

    /// <exception cref="StorageException">The file cannot be read; what is wrong inside it never throws.</exception>
    public static LedgerContents Read(string path)
    {
        // The class library would take a lock of its own, which the lock of a running dump refuses.
        using var file = Posix.Open(path, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK)
            ?? throw new StorageException($"ledger {path}: {Errno.Words(Errno.Last)}");
        return Read(file, path);
    }

    /// <summary>Reads an open ledger; <paramref name="path"/> is what errors call it.</summary>
    /// <exception cref="StorageException">The file cannot be read.</exception>
    internal static LedgerContents Read(SafeFileHandle file, string path)
    {
        try
        {
            byte[] bytes = new byte[(int)Math.Min(RandomAccess.GetLength(file), MaxBytes)];
            int length = 0;
            while (length < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(length), length) is > 0 and var read)
                length += read;
            return Read(bytes.AsSpan(0, length));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new StorageException($"ledger {path}: {e.Message}", e);
        }
    }

    /// <summary>Reads a ledger's bytes up to the first record that is not whole.</summary>
    public static LedgerContents Read(ReadOnlySpan<byte> file)
    {
        if (!LedgerFormat.HasFileHeader(file))
            return new([], EndsClean: false, State: null, StateNumber: 0, LengthBytes: 0);

        byte[]? state = LedgerFormat.NewestState(file, out uint number);
        var records = new List<LedgerRecord>();
        int at = LedgerFormat.FileHeaderBytes;
        while (LedgerFormat.TryReadRecord(file[at..], out var record, out int usedBytes))
        {
            records.Add(record!);
            at += usedBytes;
        }

        return new(records, EndsClean: at == file.Length, state, number, at);
    }
}
