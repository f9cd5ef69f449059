using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Storage.Tests;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("1", 1)]
    [InlineData("4096", 4096)]
    [InlineData("64K", 65536)]
    [InlineData("64k", 65536)]
    [InlineData("3M", 3L << 20)]
    [InlineData("2g", 2L << 30)]
    [InlineData("1T", 1L << 40)]
    [InlineData("8388607T", 8388607L << 40)]
    public void Sizes_are_powers_of_1024(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("0M")]
    [InlineData("M")]
    [InlineData("-1")]
    [InlineData("1.5M")]
    [InlineData("1MB")]
    [InlineData("1 M")]
    [InlineData("1P")]
    [InlineData("8388608T")]
    [InlineData("9223372036854775808")]
    public void What_is_no_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Fact]
    public void A_number_with_a_suffix_is_that_number_times_the_power() =>
        Prop.ForAll(Gen.Choose(1, int.MaxValue).ToArbitrary(), Gen.Choose(0, 3).ToArbitrary(), (number, power) =>
        {
            Assert.True(ByteSize.TryParse($"{number}{"KMGT"[power]}", out long parsed) || (power == 3 && number >= 1 << 23));
            return parsed == 0 || parsed >> (10 * (power + 1)) == number;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1000, "1000")]
    [InlineData(1536, "1536")]
    [InlineData(2 << 20, "2M")]
    [InlineData(1536L << 20, "1536M")]
    [InlineData(5000L << 40, "5000T")]
    public void Sizes_are_written_as_they_are_read(long bytes, string text)
    {
        Assert.Equal(text, ByteSize.Write(bytes));
        Assert.True(bytes == 0 || (ByteSize.TryParse(text, out long parsed) && parsed == bytes));
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(1536L << 20, "1.5 GiB")]
    [InlineData(5000L << 40, "5000.0 TiB")]
    public void Sizes_are_shown_in_binary_units(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));
}
