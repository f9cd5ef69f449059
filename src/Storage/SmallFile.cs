using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Reads files that an operator names, such as those with secrets: a wrong name may lead anywhere, and neither hangs nor fills the memory.</summary>
public static class SmallFile
{
    /// <summary>The whole of a file.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="maxBytes">More is another file than the one that is meant.</param>
    /// <param name="mayBePipe">It is read once, at a command's start, and may come from a pipe as shells make them with <c>&lt;(COMMAND)</c>; else a pipe is not waited for.</param>
    /// <exception cref="IOException">It cannot be read, is no regular file or too long; the message says so without its name.</exception>
    public static byte[] Read(string path, int maxBytes, bool mayBePipe = false)
    {
        if (Directory.Exists(path))
            throw new IOException("is a directory");
        using var handle = Posix.Open(path, Posix.O_RDONLY | (mayBePipe ? 0 : Posix.O_NONBLOCK)) ?? throw new IOException(Errno.Words(Errno.Last));
        if (!mayBePipe && !Posix.IsRegular(handle))
            throw new IOException("is a device, pipe or socket, and no regular file");
        using var file = new FileStream(handle, FileAccess.Read, bufferSize: 0);
        byte[] bytes = new byte[maxBytes + 1];
        int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return length <= maxBytes ? bytes[..length] : throw new IOException($"has more than {maxBytes} bytes");
    }
}
