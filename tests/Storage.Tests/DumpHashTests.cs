using System.Security.Cryptography;

namespace NetdumpCollector.Storage.Tests;

public sealed class DumpHashTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3_000_001)]
    public void Is_the_sha256_of_the_whole_file(int length)
    {
        byte[] content = Dumps.Pattern(length);
        File.WriteAllBytes(_temp.File("f"), content);
        var progress = new List<long>();

        string hash = DumpHash.Compute(_temp.File("f"), CancellationToken.None, progress.Add);

        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content)), hash);
        Assert.Equal(length, progress.LastOrDefault());
    }

    [Fact]
    public void Stops_when_it_is_told_to()
    {
        File.WriteAllBytes(_temp.File("f"), new byte[3 << 20]);
        using var stop = new CancellationTokenSource();
        long read = 0;

        Assert.Throws<OperationCanceledException>(() => DumpHash.Compute(_temp.File("f"), stop.Token, bytes =>
        {
            read = bytes;
            stop.Cancel();
        }));

        Assert.Equal(1 << 20, read);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var e = Assert.Throws<StorageException>(() => DumpHash.Compute(_temp.File("none"), CancellationToken.None));

        Assert.StartsWith(_temp.File("none"), e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(1UL << 30, 0, true)]
    [InlineData((1UL << 30) + 4000, 1000, true)]
    [InlineData((1UL << 30) + 4004, 1000, false)]
    [InlineData(ulong.MaxValue, 1000, false)]
    [InlineData(ulong.MaxValue, ulong.MaxValue, true)]
    public void A_file_of_holes_is_not_worth_reading(ulong length, ulong covered, bool worthwhile) => Assert.Equal(worthwhile, DumpHash.IsWorthwhile(length, covered));
}
