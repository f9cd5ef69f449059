using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage.Tests;

/// <summary>A file in memory that the kernel keeps from growing: writes end short at its size, as on a disk that fills up.</summary>
internal static partial class MemoryFile
{
    private const int AllowSealing = 2;
    private const int AddSeals = 1033;
    private const int SealGrow = 4;

    public static SafeFileHandle OfFixedSize(long size)
    {
        var file = new SafeFileHandle(memfd_create("fixed", AllowSealing), ownsHandle: true);
        RandomAccess.SetLength(file, size);
        Assert.Equal(0, fcntl(file, AddSeals, SealGrow));
        return file;
    }

    /// <summary>As if there were room again: the descriptor leads to a file that has the same bytes and may grow.</summary>
    public static void MakeRoom(SafeFileHandle file)
    {
        byte[] bytes = new byte[RandomAccess.GetLength(file)];
        using var roomy = new SafeFileHandle(memfd_create("roomy", 0), ownsHandle: true);
        RandomAccess.Write(roomy, bytes.AsSpan(0, RandomAccess.Read(file, bytes, 0)), 0);
        Assert.Equal(file.DangerousGetHandle(), dup2(roomy, file));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(SafeFileHandle from, SafeFileHandle to);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(SafeFileHandle file, int command, int argument);
}
