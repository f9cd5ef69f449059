using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage;

/// <summary>Measures how long fsyncs of dumps' data take.</summary>
/// <param name="time">The clock.</param>
/// <param name="onSynced">Told, by any thread, how long each took, whether it failed or not.</param>
public sealed class SyncMeter(TimeProvider time, Action<TimeSpan> onSynced)
{
    internal int Measure(Func<SafeFileHandle, int> sync, SafeFileHandle file)
    {
        long started = time.GetTimestamp();
        int errno = sync(file);
        onSynced(time.GetElapsedTime(started));
        return errno;
    }
}
