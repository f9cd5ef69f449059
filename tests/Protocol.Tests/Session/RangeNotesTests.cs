using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class RangeNotesTests
{
    [Fact]
    public void Neighbours_and_overlaps_are_joined()
    {
        var notes = new RangeNotes();
        notes.Add(new(10, 20));
        notes.Add(new(20, 30));
        notes.Add(new(5, 12));
        notes.Add(new(40, 50));
        Assert.Equal([new(5, 30), new(40, 50)], notes.Ranges);
    }

    [Fact]
    public void Is_empty_until_something_is_noted()
    {
        var notes = new RangeNotes();
        Assert.True(notes.IsEmpty);
        notes.Add(new(0, 1));
        Assert.False(notes.IsEmpty);
    }

    [Fact]
    public void Is_bounded()
    {
        var notes = new RangeNotes();
        for (ulong i = 0; i < 2 * DumpSummary.MaxListedRanges; i++)
            notes.Add(new(i * 10, i * 10 + 1));
        Assert.Equal(DumpSummary.MaxListedRanges, notes.Ranges.Count);
    }

    [Fact]
    public void Intersects_exactly_where_something_was_noted() =>
        Prop.ForAll(Gen.Choose(0, 29).Zip(Gen.Choose(1, 10)).ListOf().ToArbitrary(), additions =>
        {
            var notes = new RangeNotes();
            bool[] model = new bool[40];
            foreach (var (start, length) in additions)
            {
                notes.Add(new((ulong)start, (ulong)(start + length)));
                model.AsSpan(start, length).Fill(true);
            }

            return Enumerable.Range(0, model.Length - 1).All(at =>
                notes.Intersects((ulong)at, (ulong)at + 1) == model[at]
                && notes.Intersects((ulong)at, (ulong)at + 2) == (model[at] || model[at + 1]));
        }).QuickCheckThrowOnFailure();
}
