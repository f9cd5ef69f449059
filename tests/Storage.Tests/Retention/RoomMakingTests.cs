namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class RoomMakingTests : IDisposable
{
    private const int DumpBytes = 100;
    private const int Stored = 5;

    private readonly TempDirectory _temp = new();
    private readonly Clock _clock = new();
    private readonly List<string> _waits = [];
    private bool _givesBack;
    private long _otherFreeBytes;

    public RoomMakingTests()
    {
        for (int i = 0; i < Stored; i++)
            StoredDumps.Write(_temp.Path, "web", i, DumpBytes);
    }

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void As_many_go_as_are_needed_where_each_gives_its_room_back()
    {
        _givesBack = true;

        Assert.Equal(2, Deletes(NewRoomMaking()));
        Assert.Empty(_waits);
    }

    [Fact]
    public void When_deleted_room_does_not_come_back_nothing_more_goes_for_a_while_and_that_is_told_once()
    {
        var room = NewRoomMaking();

        Assert.Equal(1, Deletes(room));
        for (int second = 0; second < 29; second++, _clock.Advance(1))
            Assert.Equal(0, Deletes(room));

        Assert.Contains("did not become free", Assert.Single(_waits), StringComparison.Ordinal);
        _clock.Advance(1);
        Assert.Equal(1, Deletes(room));
        Assert.Equal(2, _waits.Count);
    }

    [Fact]
    public void When_deleted_room_comes_back_late_the_rest_goes_then()
    {
        var room = NewRoomMaking();
        Assert.Equal(1, Deletes(room));
        _clock.Advance(1);

        _givesBack = true;

        Assert.Equal(1, Deletes(room));
    }

    [Fact]
    public void When_something_else_made_room_meanwhile_nothing_more_goes()
    {
        var room = NewRoomMaking();
        Assert.Equal(1, Deletes(room));

        _otherFreeBytes = 10 * DumpBytes;

        Assert.Equal(0, Deletes(room));
    }

    [Fact]
    public void Zeros_that_take_no_room_count_for_nothing()
    {
        const int Length = 1 << 20;
        var dump = StoredDumps.Write(_temp.Path, "sparse", 0, Length);
        using (var file = File.Create(dump.VmcorePath))
            file.SetLength(Length);

        var all = RetentionCandidate.Of(DumpCatalog.Read(_temp.Path), StoredDumps.Now, new(TimeSpan.Zero));

        Assert.Equal(0, Assert.Single(all, candidate => candidate.Dump.Manifest.Host == "sparse").Bytes);
        Assert.All(all.Where(candidate => candidate.Dump.Manifest.Host == "web"), candidate => Assert.Equal(DumpBytes, candidate.Bytes));
    }

    private RoomMaking NewRoomMaking() =>
        new(() => DumpCatalog.Read(_temp.Path), new(new(2 * DumpBytes, 0), WhenFull.Delete, _ => Space()), new(TimeSpan.Zero), _clock, _waits.Add);

    private FileSystemSpace Space() =>
        new(_otherFreeBytes + (_givesBack ? DumpBytes * (Stored - Directory.GetFiles(_temp.Path, "dump.web.*.json").Length) : 0), 1_000_000);

    private int Deletes(RoomMaking room) => room.MakeRoom(_temp.Path).Count(result => result.IsRemoved);

    private sealed class Clock : TimeProvider
    {
        private long _seconds;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => _seconds;

        public override DateTimeOffset GetUtcNow() => StoredDumps.Now;

        public void Advance(long seconds) => _seconds += seconds;
    }
}
