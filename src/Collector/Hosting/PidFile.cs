using System.Globalization;
using System.Text;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Holds the process id, locked as long as the process runs, as pidfile(3) does for netdumpd.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly FileStream _file;

    private PidFile(FileStream file) => _file = file;

    /// <exception cref="PidFileException">Another process holds the file, or it cannot be written.</exception>
    public static PidFile Create(string path)
    {
        try
        {
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n")));
            file.Flush(flushToDisk: false);
            return new(file);
        }
        catch (IOException e) when (File.Exists(path))
        {
            throw new PidFileException($"pid file {path}: {e.Message} Is netdump-collector already running? If not, name another file with -P.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PidFileException($"pid file {path}: {e.Message} Name a file in a directory that can be written to with -P.");
        }
    }

    public void Dispose()
    {
        File.Delete(_file.Name);
        _file.Dispose();
    }
}

/// <summary>The pid file cannot be had.</summary>
internal sealed class PidFileException(string message) : Exception(message);
