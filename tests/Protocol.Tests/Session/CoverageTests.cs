using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class CoverageTests
{
    private const int ModelBytes = 40;

    [Fact]
    public void Agrees_with_a_bit_per_byte_whatever_is_added_in_whatever_order() =>
        Prop.ForAll(Gen.Choose(0, ModelBytes).Two().ListOf().ToArbitrary(), additions =>
        {
            var coverage = new Coverage();
            bool[] model = new bool[ModelBytes];
            foreach (var (start, end) in additions)
            {
                coverage.Add((ulong)start, (ulong)end);
                for (int i = start; i < end; i++)
                    model[i] = true;
                if (!Agrees(coverage, model))
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Starts_with_nothing()
    {
        var coverage = new Coverage();
        Assert.Equal(0, coverage.Count);
        Assert.Equal(0ul, coverage.End);
        Assert.False(coverage.IsContiguous);
        Assert.False(coverage.Intersects(0, ulong.MaxValue));
        Assert.Equal([new(0, 7)], coverage.Missing(7));
    }

    [Fact]
    public void Bytes_in_order_stay_one_range()
    {
        var coverage = new Coverage();
        for (ulong at = 0; at < 1_000_000; at += 1448)
            coverage.Add(at, at + 1448);
        Assert.Equal(1, coverage.Count);
        Assert.True(coverage.IsContiguous);
        Assert.Empty(coverage.Missing(1_000_000));
    }

    [Fact]
    public void A_filled_hole_joins_its_neighbours()
    {
        var coverage = new Coverage();
        coverage.Add(0, 10);
        coverage.Add(20, 30);
        coverage.Add(10, 20);
        Assert.Equal([new(0, 30)], coverage.Ranges.ToArray());
    }

    [Fact]
    public void Every_second_range_is_kept_apart_and_a_cover_joins_all()
    {
        var coverage = new Coverage();
        for (ulong i = 0; i < 1000; i++)
            coverage.Add(i * 2, i * 2 + 1);
        Assert.Equal(1000, coverage.Count);
        Assert.Equal(1000ul, coverage.CoveredBytes);
        Assert.Equal(1000, coverage.Missing(2000).Count());
        coverage.Add(0, 2000);
        Assert.Equal([new(0, 2000)], coverage.Ranges.ToArray());
        Assert.Equal(2000ul, coverage.CoveredBytes);
    }

    [Fact]
    public void Reaches_up_to_the_last_byte_that_can_be_named()
    {
        var coverage = new Coverage();
        coverage.Add(ulong.MaxValue - 10, ulong.MaxValue);
        Assert.True(coverage.Contains(ulong.MaxValue - 1, ulong.MaxValue));
        Assert.False(coverage.Intersects(0, ulong.MaxValue - 10));
        Assert.Equal([new(0, ulong.MaxValue - 10)], coverage.Missing(ulong.MaxValue));
    }

    private static bool Agrees(Coverage coverage, bool[] model)
    {
        var ranges = Runs(model, wanted: true);
        if (!coverage.Ranges.SequenceEqual(ranges.ToArray())
            || coverage.Count != ranges.Count
            || coverage.CoveredBytes != (ulong)model.Count(covered => covered)
            || coverage.End != (ranges.Count == 0 ? 0 : ranges[^1].End)
            || coverage.IsContiguous != (ranges.Count == 1 && ranges[0].Start == 0))
            return false;

        for (int start = 0; start <= model.Length; start++)
        {
            if (!coverage.Missing((ulong)start).SequenceEqual(Runs(model[..start], wanted: false)))
                return false;
            for (int end = start; end <= model.Length; end++)
            {
                var slice = model.AsSpan(start, end - start);
                if (coverage.Contains((ulong)start, (ulong)end) == slice.Contains(false)
                    || coverage.Intersects((ulong)start, (ulong)end) != slice.Contains(true))
                    return false;
            }
        }

        return true;
    }

    private static List<ByteRange> Runs(bool[] model, bool wanted)
    {
        var runs = new List<ByteRange>();
        for (int i = 0; i < model.Length; i++)
        {
            if (model[i] != wanted)
                continue;
            int start = i;
            while (i < model.Length && model[i] == wanted)
                i++;
            runs.Add(new((ulong)start, (ulong)i));
        }

        return runs;
    }
}
