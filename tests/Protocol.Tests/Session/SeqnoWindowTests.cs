using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class SeqnoWindowTests
{
    private enum Step
    {
        Set,
        Unset,
        Clear,
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(0x7fffffffu)]
    [InlineData(uint.MaxValue - 100)]
    public void Agrees_with_a_set_of_the_newest_seqnos(uint first) =>
        Prop.ForAll(Steps().ListOf().ToArbitrary(), steps =>
        {
            var window = new SeqnoWindow(first);
            var model = new HashSet<long>();
            long top = 0;
            foreach (var (step, distance) in steps)
            {
                long position = top + distance;
                uint seqno = first + (uint)position;
                if (step == Step.Clear)
                {
                    window.Clear();
                    model.Clear();
                    continue;
                }

                if (step == Step.Unset)
                {
                    window.Unset(seqno);
                    model.Remove(position);
                }
                else
                {
                    window.Set(seqno);
                    top = Math.Max(top, position + 1);
                    model.Add(position);
                }

                model.RemoveWhere(old => old < top - SeqnoWindow.Size);
                if (!Agrees(window, first, top, model))
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Wraps_around_at_two_to_the_32()
    {
        var window = new SeqnoWindow(uint.MaxValue - 1);
        window.Set(uint.MaxValue);
        window.Set(0);
        Assert.False(window.Test(uint.MaxValue - 1));
        Assert.True(window.Test(uint.MaxValue));
        Assert.True(window.Test(0));
        Assert.False(window.Test(1));
    }

    [Fact]
    public void Forgets_what_is_older_than_its_size()
    {
        var window = new SeqnoWindow(10);
        window.Set(10);
        window.Set(10 + SeqnoWindow.Size - 1);
        Assert.True(window.Test(10));
        window.Set(10 + SeqnoWindow.Size);
        Assert.False(window.Test(10));
        window.Set(10);
        Assert.False(window.Test(10));
        Assert.False(window.Test(10 + 2 * SeqnoWindow.Size));
    }

    /// <summary>Mostly near the newest seqno, now and then far behind or ahead of it.</summary>
    private static Gen<(Step, int)> Steps() =>
        Gen.Frequency((12, Gen.Constant(Step.Set)), (4, Gen.Constant(Step.Unset)), (1, Gen.Constant(Step.Clear))).Zip(Gen.Frequency(
            (10, Gen.Choose(-100, 100)),
            (4, Gen.Choose(-SeqnoWindow.Size - 100, -SeqnoWindow.Size + 100)),
            (2, Gen.Choose(SeqnoWindow.Size - 100, SeqnoWindow.Size + 100)),
            (1, Gen.Choose(SeqnoWindow.Size, int.MaxValue / 2))));

    private static bool Agrees(SeqnoWindow window, uint first, long top, HashSet<long> model)
    {
        for (long position = top - SeqnoWindow.Size - 50; position < top + 50; position++)
        {
            if (window.Test(first + (uint)position) != model.Contains(position))
                return false;
        }

        return true;
    }
}
