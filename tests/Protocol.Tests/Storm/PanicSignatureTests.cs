using NetdumpCollector.Protocol.Storm;

namespace NetdumpCollector.Protocol.Tests.Storm;

public sealed class PanicSignatureTests
{
    [Theory]
    [InlineData("page fault", "page fault")]
    [InlineData("vm_fault_lookup: fault on nofault entry, addr: 0xfffffe0012345000", "vm_fault_lookup: fault on nofault entry, addr: ?")]
    [InlineData("bad pte va fffff80003a1c000", "bad pte va ?")]
    [InlineData("mtx_lock() of spin mutex (null) @ /usr/src/sys/kern/kern_rmlock.c:503", "mtx_lock() of spin mutex (null) @ /usr/src/sys/kern/kern_rmlock.c:503")]
    [InlineData("spin lock 0xffffffff81d0c100 (sched lock 3) held by 0xfffff8000362d740 (tid 100042) too long", "spin lock ? (sched lock ?) held by ? (tid ?) too long")]
    [InlineData("nvme12: pid 4711 on cpu7", "nvme?: pid ? on cpu?")]
    [InlineData("ip6_output: no route", "ip6_output: no route")]
    [InlineData("free: address 0x0(0x0) has not been allocated", "free: address ?(?) has not been allocated")]
    [InlineData("deadbeef is a word, feedfacecafe too", "deadbeef is a word, feedfacecafe too")]
    [InlineData("0x and 0xzz are none", "0x and 0xzz are none")]
    [InlineData("", "")]
    public void What_differs_from_host_to_host_is_replaced(string message, string expected) =>
        Assert.Equal(expected, PanicSignature.Of(message));

    [Fact]
    public void Other_lines_of_a_source_file_are_other_bugs() =>
        Assert.NotEqual(PanicSignature.Of("Assertion x failed at a.c:10"), PanicSignature.Of("Assertion x failed at a.c:11"));
}
