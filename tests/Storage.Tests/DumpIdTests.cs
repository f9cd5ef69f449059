namespace NetdumpCollector.Storage.Tests;

public sealed class DumpIdTests
{
    [Fact]
    public void Starts_with_the_second_in_utc() =>
        Assert.Matches("^20261121T013940Z-[0-9a-f]{8}$", DumpId.New(new(2026, 11, 21, 3, 39, 40, TimeSpan.FromHours(2))));

    [Fact]
    public void Two_of_one_second_differ() => Assert.NotEqual(DumpId.New(Dumps.StartedAt), DumpId.New(Dumps.StartedAt));
}
