namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class HeadroomTests
{
    [Theory]
    [InlineData(100, 0, 100, HeadroomVerdict.Ample)]
    [InlineData(100, 0, 99, HeadroomVerdict.Refused)]
    [InlineData(0, 5, 50, HeadroomVerdict.Ample)]
    [InlineData(0, 5, 49, HeadroomVerdict.Refused)]
    [InlineData(0, 0, 0, HeadroomVerdict.Ample)]
    public void A_dump_begins_when_so_much_is_free(long bytes, int percent, long freeBytes, HeadroomVerdict verdict)
    {
        var headroom = new Headroom(new(bytes, percent), WhenFull.Refuse, _ => new(freeBytes, 1000));

        Assert.Equal(verdict, headroom.Judge("/dumps")?.Verdict ?? HeadroomVerdict.Ample);
    }

    [Theory]
    [InlineData(WhenFull.Refuse, HeadroomVerdict.Refused)]
    [InlineData(WhenFull.Headers, HeadroomVerdict.HeadersOnly)]
    [InlineData(WhenFull.Delete, HeadroomVerdict.MakeRoom)]
    public void Else_the_policy_says_what_becomes_of_it(WhenFull whenFull, HeadroomVerdict verdict)
    {
        var headroom = new Headroom(new(0, 10), whenFull, directory => directory == "/dumps/lab" ? new(7, 1000) : new(1000, 1000));

        Assert.Equal(new("/dumps/lab", verdict, "7 bytes are free on the file system of /dumps/lab, and 100 bytes have to be (--min-free 10%)"), headroom.Judge("/dumps/lab"));
        Assert.Equal(93, headroom.MissingBytes("/dumps/lab"));
        Assert.Null(headroom.Judge("/dumps"));
    }

    [Fact]
    public void What_must_be_free_is_told_as_the_operator_wrote_it() => Assert.Equal(
        "15.0 MiB (15728640 bytes) are free on the file system of /dumps, and 16.0 MiB (16777216 bytes) have to be (--min-free 16M)",
        new Headroom(new(16 << 20, 0), WhenFull.Refuse, _ => new(15 << 20, 1 << 30)).Judge("/dumps")!.Words);

    [Fact]
    public void A_file_system_that_does_not_say_has_room() =>
        Assert.Null(new Headroom(new(long.MaxValue, 0), WhenFull.Refuse, _ => null).Judge("/dumps"));

    [Fact]
    public void Nothing_is_asked_when_nothing_must_be_free() =>
        Assert.Null(new Headroom(MinFree.None, WhenFull.Refuse, _ => throw new InvalidOperationException("asked")).Judge("/dumps"));

    [Fact]
    public void The_largest_file_system_does_not_overflow() => Assert.Equal(9131138316486228042, new MinFree(0, 99).BytesOf(long.MaxValue - 7));

    [Fact]
    public void A_real_file_system_is_asked_and_one_that_is_not_there_does_not_say()
    {
        using var temp = new TempDirectory();

        Assert.True(FileSystemSpace.Of(temp.Path) is { TotalBytes: > 0 } space && space.FreeBytes <= space.TotalBytes);
        Assert.Null(FileSystemSpace.Of(temp.File("missing")));
        Assert.Null(FileSystemSpace.Of("/proc"));
    }
}
