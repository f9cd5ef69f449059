using System.Globalization;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Scripts;

/// <summary>Cuts a script's output into lines that are fit for a log, and not into more than a log can take.</summary>
internal sealed class ScriptOutput(Action<string> onLine)
{
    /// <summary>Bytes of a line that are kept.</summary>
    public const int MaxLineBytes = 1024;

    /// <summary>Lines that are kept; the last one says that there were more.</summary>
    public const int MaxLines = 1000;

    private readonly Lock _lock = new();
    private int _lines;

    /// <summary>Reads to the end, also what is not kept: a script must not stop because nobody reads.</summary>
    public async Task ReadAsync(Stream stream, CancellationToken cancellation)
    {
        byte[] buffer = new byte[4096];
        var line = new List<byte>(MaxLineBytes);
        try
        {
            int read;
            while ((read = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
                Add(buffer.AsSpan(0, read), line);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // A child in the background keeps the pipe open; what came until now is what there is.
        }

        if (line.Count > 0)
            Emit(line);
    }

    private void Add(ReadOnlySpan<byte> bytes, List<byte> line)
    {
        foreach (byte b in bytes)
        {
            if (b == (byte)'\n')
                Emit(line);
            else if (line.Count < MaxLineBytes)
                line.Add(b);
        }
    }

    private void Emit(List<byte> line)
    {
        string text = PrintableText.From(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(line));
        line.Clear();
        lock (_lock)
        {
            if (++_lines < MaxLines)
                onLine(text);
            else if (_lines == MaxLines)
                onLine(string.Create(CultureInfo.InvariantCulture, $"more than {MaxLines - 1} lines, the rest is not logged"));
        }
    }
}
