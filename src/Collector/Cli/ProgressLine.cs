using System.Globalization;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Cli;

/// <summary>One line that shows how far a long job is: redrawn in place on a terminal, now and then a new line elsewhere.</summary>
internal sealed class ProgressLine(CommandIo io, TimeProvider time)
{
    private const int BarCells = 24;
    private static readonly TimeSpan s_redraw = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_newLine = TimeSpan.FromSeconds(10);

    private long _shownAt = time.GetTimestamp();
    private bool _drawn;

    /// <summary>Shows <paramref name="doneBytes"/> of <paramref name="totalBytes"/>, unless something was shown just before.</summary>
    public void Show(long doneBytes, long totalBytes, string remark)
    {
        if (!IsDue())
            return;

        double part = totalBytes == 0 ? 1 : Math.Clamp((double)doneBytes / totalBytes, 0, 1);
        int cells = (int)(part * BarCells);
        Write(string.Create(CultureInfo.InvariantCulture,
            $"[{new string('#', cells)}{new string('.', BarCells - cells)}] {part * 100,3:F0} %  {ByteSize.Format(doneBytes)} of {ByteSize.Format(totalBytes)}  {remark}"));
    }

    /// <summary>Shows what is waited for, unless something was shown just before.</summary>
    public void Show(string what)
    {
        if (IsDue())
            Write(what);
    }

    /// <summary>Takes the line off the terminal, so that results can be printed.</summary>
    public void Clear()
    {
        if (_drawn && io.ErrorIsTerminal)
            io.Error.Write("\r\x1b[K");
        _drawn = false;
    }

    private bool IsDue()
    {
        if (time.GetElapsedTime(_shownAt) < (io.ErrorIsTerminal ? s_redraw : s_newLine))
            return false;
        _shownAt = time.GetTimestamp();
        return true;
    }

    private void Write(string line)
    {
        if (io.ErrorIsTerminal)
            io.Error.Write($"\r{line}\x1b[K");
        else
            io.Error.WriteLine(line);
        _drawn = true;
    }
}
