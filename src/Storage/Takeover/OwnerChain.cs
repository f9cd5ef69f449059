using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>The owners of a shared dump, as the names of their ledgers show them at one moment.</summary>
/// <param name="Identity">Whose dump.</param>
/// <param name="Endpoint">Both ends of its transfer.</param>
/// <param name="LastEpoch">The newest owner.</param>
/// <param name="Marker">It has ended the dump; null while it is received.</param>
internal sealed record OwnerChain(DumpIdentity Identity, DumpEndpoint Endpoint, int LastEpoch, CommitMarker? Marker)
{
    /// <summary>More owners than any dump has; each costs two files.</summary>
    public const int MaxEpochs = 1000;

    /// <summary>The first records of a ledger fit.</summary>
    private const int BeginningBytes = LedgerFormat.FileHeaderBytes + 1024;

    /// <summary>Looks at the ledgers from the first one on.</summary>
    /// <param name="folder">The dump's directory.</param>
    /// <param name="name">What its files' names begin with.</param>
    /// <returns>Null where there is no dump, not yet or no more: its first ledger is missing, does not say whose it is, or has the next one's name as well.</returns>
    /// <exception cref="StorageException">A ledger cannot be read, or is a marker that says nothing.</exception>
    public static OwnerChain? Read(DumpFolder folder, string name)
    {
        using var first = Open(folder, SegmentName.LedgerOf(name, 1));
        if (first is null)
            return null;
        byte[] beginning = new byte[BeginningBytes];
        int length = Posix.ReadAt(first, beginning, 0);
        if (length < 0)
            throw new StorageException($"ledger {folder.PathOf(SegmentName.LedgerOf(name, 1))}: {Errno.Words(Errno.Last)}");
        var contents = LedgerFile.Read(beginning.AsSpan(0, length));
        if (contents.Opened is not { } opened || contents.Records.OfType<LedgerRecord.Endpoint>().FirstOrDefault() is not { } endpoint || DumpFile.NameOf(opened.Identity) != name)
            return null;

        int epoch = 1;
        for (; ; epoch++)
        {
            using var next = Open(folder, SegmentName.LedgerOf(name, epoch + 1));
            if (next is null)
                return new(opened.Identity, endpoint.Value, epoch, Marker: null);
            if (Posix.InodeOf(next) is not 0 and var inode && inode == Posix.InodeOf(first))
                return null;
            if (ReadMarker(next, folder.PathOf(SegmentName.LedgerOf(name, epoch + 1))) is { } marker)
                return new(opened.Identity, endpoint.Value, epoch, marker);
        }
    }

    /// <summary>Opens a ledger to be read; null where there is none.</summary>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    public static SafeFileHandle? Open(DumpFolder folder, string ledgerName) =>
        Posix.OpenAt(folder.Handle, ledgerName, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK)
            ?? (Errno.Last == Errno.ENOENT ? null : throw new StorageException($"ledger {folder.PathOf(ledgerName)}: {Errno.Words(Errno.Last)}"));

    /// <summary>What stands in a ledger's place; null where it is a ledger, or a file that is about to be one.</summary>
    private static CommitMarker? ReadMarker(SafeFileHandle file, string path)
    {
        Span<byte> magic = stackalloc byte[16];
        int length = Posix.ReadAt(file, magic, 0);
        if (length < 0)
            throw new StorageException($"ledger {path}: {Errno.Words(Errno.Last)}");
        if (!CommitMarker.IsMarker(magic[..length]))
            return null;

        try
        {
            byte[] bytes = new byte[(int)Math.Min(RandomAccess.GetLength(file), CommitMarker.MaxBytes)];
            int done = 0;
            while (done < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(done), done) is > 0 and var read)
                done += read;
            return CommitMarker.Read(bytes.AsSpan(0, done)) ?? throw new StorageException($"{path}: is not a whole note of a commit; look at the dump's segments beside it");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new StorageException($"{path}: {e.Message}", e);
        }
    }
}
