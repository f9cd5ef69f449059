using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Tests.Storage;

public sealed class FileSystemLaneTests : IDisposable
{
    private const int LogSlow = 1016;
    private const int LogRecovered = 1017;
    private const long Waited = -2;
    private const long DidNotWait = long.MaxValue;

    private readonly ManualTimeProvider _time = new();
    private readonly RecordingLogger _log = new();
    private readonly FileSystemLane _lane;

    public FileSystemLaneTests() => _lane = new("/dumps", new ActorSystem("test"), _time, new CollectorMetrics(TimeProvider.System), _log);

    public void Dispose() => _lane.Dispose();

    [Fact]
    public void Quick_writes_stay_on_the_loop()
    {
        for (int i = 0; i < 10_000; i++)
            WriteInline(TimeSpan.FromMilliseconds(2), Waited);

        Assert.True(_lane.IsInline);
        Assert.Equal(0, _log.Count(LogSlow));
    }

    [Fact]
    public void Writes_that_waited_for_more_than_20_ms_in_a_second_leave_the_loop()
    {
        WriteInline(TimeSpan.FromMilliseconds(12), Waited);
        WriteInline(TimeSpan.FromMilliseconds(12), Waited);
        Assert.True(_lane.IsInline);

        WriteInline(TimeSpan.FromMilliseconds(12), Waited);

        Assert.False(_lane.IsInline);
        Assert.Equal(1, _log.Count(LogSlow));
    }

    [Fact]
    public void Slow_writes_that_are_rare_stay()
    {
        for (int i = 0; i < 100; i++)
        {
            WriteInline(TimeSpan.FromMilliseconds(12), Waited);
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.True(_lane.IsInline);
    }

    [Fact]
    public void A_busy_processor_is_no_slow_device()
    {
        for (int i = 0; i < 1000; i++)
            WriteInline(TimeSpan.FromMilliseconds(20), DidNotWait);

        Assert.True(_lane.IsInline);
    }

    [Fact]
    public void After_a_write_that_took_long_it_is_asked_for_a_while_whether_writes_wait()
    {
        Assert.Equal(WriteStart.Unmeasured, _lane.BeginWrite().Waits);

        WriteInline(TimeSpan.FromMilliseconds(20), WriteStart.Unmeasured);
        Assert.NotEqual(WriteStart.Unmeasured, _lane.BeginWrite().Waits);

        _time.Advance(TimeSpan.FromSeconds(11));
        WriteInline(TimeSpan.FromMilliseconds(1), DidNotWait);
        Assert.Equal(WriteStart.Unmeasured, _lane.BeginWrite().Waits);
    }

    [Fact]
    public void A_stall_leaves_the_loop_at_once()
    {
        _lane.OnStall();

        Assert.False(_lane.IsInline);
        Assert.Equal(1, _log.Count(LogSlow));
    }

    [Fact]
    public void A_second_of_quick_writes_brings_it_back()
    {
        Stall();
        WriteThreadedFor(TimeSpan.FromMilliseconds(900));
        Assert.False(_lane.IsInline);
        WriteThreaded(TimeSpan.FromMilliseconds(3), Waited);
        WriteThreadedFor(TimeSpan.FromMilliseconds(900));
        Assert.False(_lane.IsInline);

        WriteThreadedFor(TimeSpan.FromMilliseconds(200));

        Assert.True(_lane.IsInline);
        Assert.Equal(1, _log.Count(LogRecovered));
    }

    [Fact]
    public void Each_relapse_doubles_the_time_that_it_must_be_quick_up_to_a_minute()
    {
        List<double> seconds = [];
        for (int relapse = 0; relapse < 9; relapse++)
        {
            Stall();
            int writes = 0;
            for (; !_lane.IsInline; writes++)
                WriteThreaded(TimeSpan.FromMilliseconds(1), DidNotWait);
            seconds.Add(writes / 1000.0);
        }

        Assert.Equal([1, 2, 4, 8, 16, 32, 60, 60, 60], seconds);
    }

    [Fact]
    public void After_a_minute_without_relapse_a_second_is_enough_again()
    {
        Stall();
        WriteThreadedFor(TimeSpan.FromSeconds(1));
        Stall();
        WriteThreadedFor(TimeSpan.FromSeconds(2));
        Assert.True(_lane.IsInline);

        _time.Advance(TimeSpan.FromMinutes(2));
        Stall();
        WriteThreadedFor(TimeSpan.FromSeconds(1));

        Assert.True(_lane.IsInline);
    }

    [Fact]
    public void Quick_writes_do_not_bring_it_back_while_the_one_that_stalled_a_loop_hangs()
    {
        _lane.OnStall();
        WriteThreadedFor(TimeSpan.FromSeconds(10));
        Assert.False(_lane.IsInline);

        _lane.EndStalledWrite(_lane.BeginWrite());
        WriteThreadedFor(TimeSpan.FromMilliseconds(900));
        Assert.False(_lane.IsInline);
        WriteThreadedFor(TimeSpan.FromMilliseconds(200));
        Assert.True(_lane.IsInline);
    }

    [Fact]
    public void Quick_writes_do_not_bring_it_back_while_one_of_its_own_threads_hangs()
    {
        Stall();
        WriteThreadedFor(TimeSpan.FromMilliseconds(500));
        var hanging = _lane.BeginThreadedWrite();
        WriteThreadedFor(TimeSpan.FromSeconds(10));
        Assert.False(_lane.IsInline);

        _lane.EndThreadedWrite(hanging with { Waits = Waited });
        WriteThreadedFor(TimeSpan.FromMilliseconds(900));
        Assert.False(_lane.IsInline);
        WriteThreadedFor(TimeSpan.FromMilliseconds(200));
        Assert.True(_lane.IsInline);
    }

    private void Stall()
    {
        _lane.OnStall();
        _lane.EndStalledWrite(_lane.BeginWrite());
    }

    private void WriteInline(TimeSpan duration, long waits)
    {
        var start = new WriteStart(_time.GetTimestamp(), waits);
        _time.Advance(duration);
        _lane.EndInlineWrite(start);
    }

    private void WriteThreaded(TimeSpan duration, long waits)
    {
        var start = _lane.BeginThreadedWrite() with { Waits = waits };
        _time.Advance(duration);
        _lane.EndThreadedWrite(start);
    }

    private void WriteThreadedFor(TimeSpan duration)
    {
        for (int i = 0; i < duration.TotalMilliseconds; i++)
            WriteThreaded(TimeSpan.FromMilliseconds(1), DidNotWait);
    }
}
