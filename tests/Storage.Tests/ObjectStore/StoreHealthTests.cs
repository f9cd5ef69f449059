using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

public sealed class StoreHealthTests
{
    private readonly Clock _clock = new();
    private readonly List<StoreFailure?> _told = [];

    [Fact]
    public void Waits_double_up_to_a_minute_and_end_with_the_first_success()
    {
        var health = Health();
        var waits = new List<double>();
        for (int i = 0; i < 9; i++)
        {
            health.Failed(Problem(StoreFailure.Unreachable));
            waits.Add(health.Wait.TotalSeconds);
            _clock.Advance(health.Wait);
        }

        Assert.Equal([1, 2, 4, 8, 16, 32, 60, 60, 60], waits);
        Assert.False(health.IsUp);
        health.Succeeded();
        Assert.Equal((TimeSpan.Zero, true), (health.Wait, health.IsUp));
        health.Failed(Problem(StoreFailure.Busy));
        Assert.Equal(1, health.Wait.TotalSeconds);
    }

    [Fact]
    public void A_failure_is_told_once_another_kind_at_once_and_one_that_lasts_every_ten_minutes()
    {
        var health = Health();
        for (int second = 0; second < 1300; second++)
        {
            health.Failed(Problem(second < 5 ? StoreFailure.Unreachable : StoreFailure.Denied));
            _clock.Advance(TimeSpan.FromSeconds(1));
        }

        health.Succeeded();
        health.Succeeded();
        Assert.Equal([StoreFailure.Unreachable, StoreFailure.Denied, StoreFailure.Denied, StoreFailure.Denied, null], _told);
    }

    [Fact]
    public void Several_that_fail_together_wait_no_longer_than_one()
    {
        var health = Health();
        for (int i = 0; i < 8; i++)
            health.Failed(Problem(StoreFailure.Unreachable));
        Assert.Equal(1, health.Wait.TotalSeconds);
    }

    [Fact]
    public void A_call_is_made_until_the_store_does_it_but_not_for_ever_where_the_store_is_not_at_fault()
    {
        using var memory = new MemoryObjectStore();
        var failures = new List<StoreFailure>();
        using var store = new PatientStore(memory, Health(), failures.Add, wait => _clock.Advance(wait));
        int calls = 0;
        memory.Before = _ => { if (++calls <= 30) throw Problem(StoreFailure.Unreachable); };
        Assert.Null(store.Head("k"));
        Assert.Equal((31, 30), (calls, failures.Count));

        memory.Before = _ => throw Problem(StoreFailure.Checksum);
        Assert.Equal(StoreFailure.Checksum, Assert.Throws<ObjectStoreException>(() => store.Head("k")).Failure);
        Assert.Equal(35, failures.Count);
    }

    private StoreHealth Health() => new(_clock, problem => _told.Add(problem?.Failure));

    private static ObjectStoreException Problem(StoreFailure failure) => new(failure, "it does not work");

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan time) => _ticks += time.Ticks;
    }
}
