using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

public sealed unsafe class DatagramBatchTests
{
    private readonly DatagramBatch _batch = new();

    [Fact]
    public void Grouping_is_stable_and_keeps_sources_in_order_of_first_arrival()
    {
        // One batch for all, so that nothing may be left over from the one before.
        Prop.ForAll(Sources().ToArbitrary(), sources => Grouped(sources).SequenceEqual(Expected(sources))).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_full_batch_of_different_sources_stays_as_it_is()
    {
        (uint, ushort, uint)[] sources = [.. Enumerable.Range(0, DatagramBatch.Capacity).Select(i => ((uint)i, (ushort)(i * 7), (uint)(i % 3)))];
        Assert.Equal(Expected(sources), Grouped(sources));
    }

    [Fact]
    public void Sources_differ_by_address_by_port_and_by_local_address()
    {
        (uint, ushort, uint)[] sources = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)];
        Assert.Equal([0, 4, 1, 5, 2, 6, 3, 7], Grouped(sources));
    }

    [Fact]
    public void Grouping_allocates_nothing()
    {
        (uint, ushort, uint)[] sources = [.. Enumerable.Range(0, DatagramBatch.Capacity).Select(i => ((uint)(i % 250), (ushort)20024, 1u))];

        NoAllocation.In(() =>
        {
            Fill(sources);
            _batch.GroupBySource();
        });
    }

    private static Gen<(uint, ushort, uint)[]> Sources() =>
        from length in Gen.Choose(0, DatagramBatch.Capacity)
        from kinds in Gen.Choose(1, 12)
        from sources in (from remote in Gen.Choose(1, kinds)
                         from port in Gen.Choose(1, 2)
                         from local in Gen.Choose(1, 2)
                         select ((uint)remote, (ushort)port, (uint)local)).ArrayOf(length)
        select sources;

    private static IEnumerable<int> Expected((uint, ushort, uint)[] sources) =>
        Enumerable.Range(0, sources.Length).GroupBy(i => sources[i]).SelectMany(group => group);

    private int[] Grouped((uint, ushort, uint)[] sources)
    {
        Fill(sources);
        _batch.GroupBySource();
        int[] order = new int[_batch.Count];
        for (int i = 0; i < order.Length; i++)
            order[i] = _batch.Span[i].Length;
        return order;
    }

    // The length tells which datagram it was; nothing reads its bytes.
    private void Fill((uint Remote, ushort Port, uint Local)[] sources)
    {
        _batch.Clear();
        for (int i = 0; i < sources.Length; i++)
            _batch.Add(new(null, i, new Ipv4(sources[i].Remote), sources[i].Port, new Ipv4(sources[i].Local)));
    }
}
