using System.Globalization;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Ledger;

public sealed class HeraldLedgerTests : IDisposable
{
    private const ushort Port = 20023;
    private const int HeaderBytes = 64;
    private const int PlaceBytes = 1088;

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public HeraldLedgerTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void The_next_process_finds_what_was_not_cleared()
    {
        using (var ledger = Open())
        {
            for (int i = 0; i < 10; i++)
                Remember(ledger, i);
            ledger.Clear(3);
        }

        using var next = Open();
        Assert.Equal(Enumerable.Range(0, 10).Where(i => i != 3), next.LeftOver.Select(remembered => remembered.Place));
        Assert.All(next.LeftOver, remembered => AssertSame(Herald(remembered.Place), remembered.Herald));
    }

    [Fact]
    public void What_was_found_keeps_its_place_for_the_process_after_the_next()
    {
        using (var ledger = Open())
        {
            for (int i = 0; i < 3; i++)
                Remember(ledger, i);
            ledger.Clear(1);
        }

        using (var next = Open())
        {
            Assert.True(next.TryTake(out int place));
            Assert.Equal(1, place);
            next.Write(place, Herald(7));
            Assert.True(next.TryTake(out place));
            Assert.Equal(3, place);
            next.Clear(0);
        }

        using var third = Open();
        Assert.Equal([1, 2], third.LeftOver.Select(remembered => remembered.Place));
        AssertSame(Herald(7), third.LeftOver[0].Herald);
        AssertSame(Herald(2), third.LeftOver[1].Herald);
    }

    [Fact]
    public void There_is_an_end_to_places_and_a_cleared_one_is_used_again()
    {
        using var ledger = Open();
        for (int i = 0; i < HeraldLedger.MaxHeralds; i++)
            Remember(ledger, i);

        Assert.False(ledger.TryTake(out _));
        ledger.Clear(17);
        Assert.True(ledger.TryTake(out int place));
        Assert.Equal(17, place);
    }

    [Fact]
    public void A_full_ledger_is_read_to_its_end()
    {
        using (var ledger = Open())
        {
            for (int i = 0; i < HeraldLedger.MaxHeralds; i++)
                Remember(ledger, i);
        }

        using var next = Open();
        Assert.Equal(HeraldLedger.MaxHeralds, next.LeftOver.Count);
        Assert.False(next.TryTake(out _));
    }

    [Fact]
    public void A_place_that_was_torn_is_free_and_spoils_no_other()
    {
        using (var ledger = Open())
        {
            for (int i = 0; i < 3; i++)
                Remember(ledger, i);
        }

        Change(bytes => bytes[HeaderBytes + PlaceBytes + 20] ^= 1);

        using var next = Open();
        Assert.Equal([0, 2], next.LeftOver.Select(remembered => remembered.Place));
        Assert.True(next.TryTake(out int place));
        Assert.Equal(1, place);
    }

    [Fact]
    public void Nothing_of_another_boot_is_believed()
    {
        using (var ledger = Open())
            Remember(ledger, 0);
        Change(bytes => bytes[20] ^= 1);

        using (var next = Open())
            Assert.Empty(next.LeftOver);
        using var third = Open();
        Assert.Empty(third.LeftOver);
    }

    [Fact]
    public void Noise_is_no_ledger()
    {
        byte[] noise = new byte[HeaderBytes + 3 * PlaceBytes];
        for (int seed = 0; seed < 50; seed++)
        {
            new Random(seed).NextBytes(noise);
            File.WriteAllBytes(Path, noise);
            using var ledger = Open();
            Assert.Empty(ledger.LeftOver);
        }

        // Nor are noisy places beneath a header that is right.
        for (int seed = 0; seed < 50; seed++)
        {
            Change(bytes =>
            {
                new Random(seed).NextBytes(noise);
                return [.. bytes[..HeaderBytes], .. noise];
            });
            using var ledger = Open();
            Assert.Empty(ledger.LeftOver);
        }
    }

    [Fact]
    public void A_second_process_has_none_and_another_port_one_of_its_own()
    {
        using var ledger = Open();
        Remember(ledger, 0);

        Assert.Null(HeraldLedger.Open(_directory, Port));
        using var other = HeraldLedger.Open(_directory, Port + 1);

        Assert.Empty(other!.LeftOver);
        ledger.Dispose();
        using var next = Open();
        Assert.Single(next.LeftOver);
    }

    private string Path => _temp.File(string.Create(CultureInfo.InvariantCulture, $".heralds.{Port}"));

    private HeraldLedger Open() => HeraldLedger.Open(_directory, Port)!;

    private static void Remember(HeraldLedger ledger, int number)
    {
        Assert.True(ledger.TryTake(out int place));
        Assert.Equal(number, place);
        ledger.Write(place, Herald(number));
    }

    private static HeraldRecord Herald(int number) => new(new((uint)(0x0a000001 + number)), new(Ipv4.Loopback, (ushort)(20100 + number), 0, 20024, 1), Dumps.StartedAt.AddSeconds(number),
        new byte[number % 1050]);

    private static void AssertSame(HeraldRecord expected, HeraldRecord actual)
    {
        Assert.Equal(expected with { Path = [] }, actual with { Path = [] });
        Assert.Equal(expected.Path, actual.Path);
    }

    private void Change(Action<byte[]> change) => Change(bytes =>
    {
        change(bytes);
        return bytes;
    });

    private void Change(Func<byte[], byte[]> change) => File.WriteAllBytes(Path, change(File.ReadAllBytes(Path)));
}
