using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Writes small files so that a reader, or a crash, sees the old one or the whole new one.</summary>
internal static class AtomicFile
{
    /// <summary>Writes a temporary file, makes it durable and gives it its name. The name is durable once the directory is synced.</summary>
    /// <remarks>Without <paramref name="replace"/> a file that has the name already stays, and the call fails.</remarks>
    /// <exception cref="StorageException">The file could not be written; nothing has changed.</exception>
    public static void Write(SafeFileHandle directory, string name, ReadOnlySpan<byte> content, uint mode, bool replace)
    {
        string temporary = TemporaryNameFor(name);
        try
        {
            using (var file = Posix.OpenAt(directory, temporary, Posix.O_WRONLY | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, mode))
            {
                if (file is null)
                    throw new StorageException($"{name}: cannot be created: {Errno.Words(Errno.Last)}");

                WriteAll(file, name, content);
                Posix.SetMode(file, mode);
                Check(name, "not durable, fsync failed", Posix.Sync(file));
            }

            Check(name, "cannot be renamed from its temporary name", replace
                ? Posix.Rename(directory, temporary, name)
                : Posix.RenameWithoutReplacing(directory, temporary, name));
        }
        catch
        {
            _ = Posix.Unlink(directory, temporary);
            throw;
        }
    }

    /// <summary>Points the link <paramref name="name"/> to <paramref name="target"/>. What has the name and is not a link is left alone.</summary>
    /// <exception cref="StorageException">The link could not be made; nothing has changed.</exception>
    public static void Link(SafeFileHandle directory, string name, string target)
    {
        if (Posix.KindOf(directory, name) == NameKind.Other)
            return;

        string temporary = TemporaryNameFor(name);
        Check(name, "link cannot be made", Posix.Symlink(target, directory, temporary));
        if (Posix.Rename(directory, temporary, name) is not 0 and var errno)
        {
            _ = Posix.Unlink(directory, temporary);
            Check(name, "link cannot be renamed from its temporary name", errno);
        }
    }

    private static string TemporaryNameFor(string name) => $".{name}.{RandomNumberGenerator.GetHexString(8, lowercase: true)}.tmp";

    private static unsafe void WriteAll(SafeFileHandle file, string name, ReadOnlySpan<byte> content)
    {
        fixed (byte* at = content)
        {
            for (long done = 0; done < content.Length;)
            {
                var vector = new Posix.IoVector { Base = at + done, Length = (nuint)(content.Length - done) };
                nint written = Posix.WriteVectored(file, &vector, 1, done);
                if (written < 0 && Errno.Last == Errno.EINTR)
                    continue;
                if (written <= 0)
                    throw new StorageException($"{name}: cannot be written: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}");
                done += written;
            }
        }
    }

    private static void Check(string name, string what, int errno)
    {
        if (errno != 0)
            throw new StorageException($"{name}: {what}: {Errno.Words(errno)}");
    }
}
