using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Takeover;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Takeover;

public sealed unsafe class SoughtFlowsTests : IDisposable
{
    private readonly StagingPool _pool = new();
    private readonly byte[] _bytes = new byte[100];
    private int _refused;

    public void Dispose() => _pool.Dispose();

    [Fact]
    public void A_flow_is_sought_once_and_its_packets_wait()
    {
        var flows = new SoughtFlows(10, _pool.Rent, () => _refused++);
        Assert.True(Add(flows, 1, 0, out bool first));
        Assert.False(Add(flows, 1, 400_000, out bool second));
        Assert.True(Add(flows, 2, 400_000, out _));
        Assert.Equal((true, true), (first, second));

        var packets = flows.End(Flow(1), 450_000);
        Assert.Equal(2, packets!.Count);
        _pool.Return(packets);
    }

    [Fact]
    public void It_is_sought_again_with_the_next_repeat_and_not_before()
    {
        var flows = new SoughtFlows(10, _pool.Rent, () => _refused++);
        Add(flows, 1, 0, out _);
        _pool.Return(flows.End(Flow(1), 1000)!);

        Assert.False(Add(flows, 1, 1000 + SoughtFlows.AgainUs - 1, out bool isHeld));
        Assert.False(isHeld);
        Assert.True(Add(flows, 1, 1000 + SoughtFlows.AgainUs, out isHeld));
        Assert.True(isHeld);
        _pool.Return(flows.End(Flow(1), 0)!);
    }

    [Fact]
    public void What_nobody_tells_the_end_of_is_sought_anew()
    {
        var flows = new SoughtFlows(10, _pool.Rent, () => _refused++);
        Assert.True(Add(flows, 1, 0, out _));
        Assert.False(Add(flows, 1, SoughtFlows.OverdueUs - 1, out _));
        Assert.True(Add(flows, 1, SoughtFlows.OverdueUs, out bool isHeld));
        Assert.False(Add(flows, 1, SoughtFlows.OverdueUs + 1, out _));
        Assert.True(isHeld);

        var packets = flows.End(Flow(1), SoughtFlows.OverdueUs + 2)!;
        Assert.Equal(4, packets.Count);
        _pool.Return(packets);
    }

    [Fact]
    public void No_more_flows_are_remembered_than_may_be()
    {
        var flows = new SoughtFlows(2, () => null, () => _refused++);
        Assert.True(Add(flows, 1, 0, out bool isHeld));
        Assert.False(isHeld);
        Assert.True(Add(flows, 2, 0, out _));
        Assert.False(Add(flows, 3, 0, out _));
        Assert.Equal(1, _refused);

        Assert.Null(flows.End(Flow(1), 0));
        Assert.True(Add(flows, 3, SoughtFlows.AgainUs, out _));
        Assert.False(Add(flows, 1, SoughtFlows.AgainUs, out _));
        Assert.Equal(2, _refused);
    }

    [Fact]
    public void A_full_table_still_remembers_whom_it_knows()
    {
        var flows = new SoughtFlows(1, () => null, () => _refused++);
        Assert.True(Add(flows, 1, 0, out _));
        Assert.False(Add(flows, 2, 0, out _));
        Assert.Null(flows.End(Flow(1), 1));

        // Too soon to look for room again: one that is there needs none.
        Assert.True(Add(flows, 1, SoughtFlows.AgainUs + 1, out _));
        Assert.Equal(1, _refused);
    }

    private bool Add(SoughtFlows flows, ushort port, long nowUs, out bool isHeld)
    {
        fixed (byte* bytes = _bytes)
            return flows.Add(Flow(port), new Datagram(bytes, _bytes.Length, new(2), port, new(1)), nowUs, out isHeld);
    }

    private static FlowKey Flow(ushort port) => new(new(1), new(2), port);
}
