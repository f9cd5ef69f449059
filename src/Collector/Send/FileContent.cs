using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Collector.Send;

/// <summary>The bytes of a file, zeros after its end. Thread-safe.</summary>
internal sealed class FileContent : IDisposable
{
    private readonly SafeFileHandle _file;

    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public FileContent(string path)
    {
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        SizeBytes = RandomAccess.GetLength(_file);
    }

    public long SizeBytes { get; }

    /// <summary>Fills <paramref name="destination"/> with the bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="IOException">The file cannot be read, or is shorter than it was.</exception>
    public void Fill(ulong offset, Span<byte> destination)
    {
        int inside = (int)Math.Clamp(SizeBytes - (long)offset, 0, destination.Length);
        for (int done = 0; done < inside;)
        {
            int read = RandomAccess.Read(_file, destination[done..inside], (long)offset + done);
            if (read == 0)
                throw new IOException("the file became shorter while it was sent");
            done += read;
        }

        destination[inside..].Clear();
    }

    public void Dispose() => _file.Dispose();
}
