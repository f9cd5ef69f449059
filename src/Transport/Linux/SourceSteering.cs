namespace NetdumpCollector.Transport.Linux;

/// <summary>Has the kernel choose among the sockets of one port as <see cref="SourceShards.ShardOf"/> does.</summary>
/// <remarks>
/// A classic BPF program on the port's group of sockets; its result is the place of a socket in the order in which they were bound. A result beyond the last one, as long as not all are
/// bound, makes the kernel choose by a hash of its own (net/core/sock_reuseport.c, reuseport_select_sock).
/// </remarks>
internal static unsafe class SourceSteering
{
    // linux/bpf_common.h; SKF_NET_OFF of linux/filter.h counts from the start of the IP header, where the source address is at 12.
    private const ushort LoadWord = 0x20;
    private const ushort Multiply = 0x24;
    private const ushort ShiftRight = 0x74;
    private const ushort ReturnResult = 0x16;
    private const uint SourceAddress = 0xfff00000 + 12;

    private const int StepCount = 6;

    /// <summary>Attaches the program to the group that the socket <paramref name="descriptor"/> was bound into; false where that is not allowed.</summary>
    public static bool TryAttach(int descriptor, int shards)
    {
        FilterStep* steps = stackalloc FilterStep[StepCount]
        {
            new(LoadWord, SourceAddress),
            new(Multiply, SourceShards.Multiplier),
            new(ShiftRight, 16),
            new(Multiply, (uint)shards),
            new(ShiftRight, 16),
            new(ReturnResult, 0),
        };
        FilterProgram program = new() { StepCount = StepCount, Steps = steps };
        return Libc.SetSocketOption(descriptor, Libc.SolSocket, Libc.SoAttachReuseportCbpf, &program, (uint)sizeof(FilterProgram)) == 0;
    }
}
