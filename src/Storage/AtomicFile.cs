using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A small file that gets its name when it is whole, so that a reader, or a crash, sees the old one or the new one.</summary>
/// <remarks>
/// Several are cheapest written first, then synced, then published: a file system with a journal makes all of them durable with the first sync. Disposing removes what was not published.
/// </remarks>
internal sealed class AtomicFile : IDisposable
{
    private const string DraftSuffix = ".tmp";
    private const int RandomSuffixLength = 9;

    private readonly SafeFileHandle _directory;
    private readonly SafeFileHandle _file;
    private readonly string _name;
    private readonly string _temporary;
    private bool _published;

    private AtomicFile(SafeFileHandle directory, SafeFileHandle file, string name, string temporary)
    {
        _directory = directory;
        _file = file;
        _name = name;
        _temporary = temporary;
    }

    /// <summary>Writes the content under a temporary name and has the system begin to put it on the device.</summary>
    /// <exception cref="StorageException">It could not be written; nothing has changed.</exception>
    public static AtomicFile Draft(SafeFileHandle directory, string name, ReadOnlySpan<byte> content, uint mode)
    {
        string temporary = TemporaryNameFor(name);
        var file = Posix.OpenAt(directory, temporary, Posix.O_WRONLY | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, mode)
            ?? throw new StorageException($"{name}: cannot be created: {Errno.Words(Errno.Last)}");
        var draft = new AtomicFile(directory, file, name, temporary);
        try
        {
            WriteAll(file, name, content);
            Posix.SetMode(file, mode);
            Posix.StartWriteback(file, 0, content.Length);
            return draft;
        }
        catch
        {
            draft.Dispose();
            throw;
        }
    }

    /// <summary>Writes a file that is durable, but for its name: that is once the directory is synced.</summary>
    /// <remarks>Without <paramref name="replace"/> a file that has the name already stays, and the call fails.</remarks>
    /// <exception cref="StorageException">The file could not be written; nothing has changed.</exception>
    public static void Write(SafeFileHandle directory, string name, ReadOnlySpan<byte> content, uint mode, bool replace)
    {
        using var draft = Draft(directory, name, content, mode);
        if (replace)
            draft.TakeOwnerOfReplaced();
        draft.Sync();
        draft.Publish(replace);
    }

    /// <summary>Waits until the content is on the device.</summary>
    /// <exception cref="StorageException">It is not.</exception>
    public void Sync() => Check(_name, "not durable, fsync failed", Posix.Sync(_file));

    /// <summary>Gives the file its name. Without <paramref name="replace"/> a file that has it already stays, and the call fails.</summary>
    /// <exception cref="StorageException">It could not be renamed; nothing has changed.</exception>
    public void Publish(bool replace)
    {
        Check(_name, "cannot be renamed from its temporary name", replace
            ? Posix.Rename(_directory, _temporary, _name)
            : Posix.RenameWithoutReplacing(_directory, _temporary, _name));
        _published = true;
    }

    /// <summary>Gives the file its name unless another file has it.</summary>
    /// <returns>False where another file has it.</returns>
    /// <exception cref="StorageException">It could not be named for another reason.</exception>
    public bool TryPublish()
    {
        int errno = Posix.RenameWithoutReplacing(_directory, _temporary, _name);
        // The server of a network file system may have done it and not been heard.
        _published = errno == 0 || Posix.IsNameOf(Posix.InodeOf(_file), _directory, _name);
        if (_published && errno != 0)
            _ = Posix.Unlink(_directory, _temporary);
        if (!_published && errno != Errno.EEXIST)
            Check(_name, "cannot be renamed from its temporary name", errno);
        return _published;
    }

    /// <summary>Gives the draft to the user and group of the file that it is to replace: what root changes stays readable for the collector's user.</summary>
    /// <exception cref="StorageException">Another user's file would become this user's, which the other could not read any more.</exception>
    private void TakeOwnerOfReplaced()
    {
        if (Posix.OwnerOf(_directory, _name) is not { } replaced || Posix.OwnerOf(_file) is not { } own || own == replaced)
            return;
        int errno = Posix.SetOwner(_file, replaced);
        // The group may do nothing with the file.
        if (own.User != replaced.User)
            Check(_name, $"cannot be given to its owner, user {replaced.User}", errno);
    }

    public void Dispose()
    {
        _file.Dispose();
        if (!_published)
            _ = Posix.Unlink(_directory, _temporary);
    }

    /// <summary>Points the link <paramref name="name"/> to <paramref name="target"/>. What has the name and is not a link is left alone.</summary>
    /// <exception cref="StorageException">The link could not be made; nothing has changed.</exception>
    public static void Link(SafeFileHandle directory, string name, string target)
    {
        int errno = Posix.Symlink(target, directory, name);
        if (errno == 0 || (errno == Errno.EEXIST && Posix.KindOf(directory, name) == NameKind.Other))
            return;

        string temporary = TemporaryNameFor(name);
        Check(name, "link cannot be made", errno == Errno.EEXIST ? Posix.Symlink(target, directory, temporary) : errno);
        errno = Posix.Rename(directory, temporary, name);
        if (errno != 0)
            _ = Posix.Unlink(directory, temporary);
        Check(name, "link cannot be renamed from its temporary name", errno);
    }

    /// <summary>The name that a draft called <paramref name="name"/> was to get; null for any other file.</summary>
    public static string? TargetOf(ReadOnlySpan<char> name) =>
        name.Length > 1 + RandomSuffixLength + DraftSuffix.Length && name[0] == '.' && name.EndsWith(DraftSuffix, StringComparison.Ordinal) && name[^(RandomSuffixLength + DraftSuffix.Length)] == '.'
            ? name[1..^(RandomSuffixLength + DraftSuffix.Length)].ToString()
            : null;

    private static string TemporaryNameFor(string name) => $".{name}.{Random.Shared.Next():x8}{DraftSuffix}";

    private static void WriteAll(SafeFileHandle file, string name, ReadOnlySpan<byte> content)
    {
        for (int done = 0; done < content.Length;)
        {
            int written = Posix.WriteAt(file, content[done..], done);
            if (written <= 0)
                throw new StorageException($"{name}: cannot be written: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}");
            done += written;
        }
    }

    private static void Check(string name, string what, int errno)
    {
        if (errno != 0)
            throw new StorageException($"{name}: {what}: {Errno.Words(errno)}");
    }
}
