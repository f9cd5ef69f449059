namespace NetdumpCollector.Protocol.Client;

/// <summary>Decides how a dump is cut into bursts.</summary>
public interface IBurstPlan
{
    /// <summary>The burst that starts at <paramref name="offset"/>, where <paramref name="leftBytes"/> of the dump are still to be sent.</summary>
    BurstStep StepAt(ulong offset, ulong leftBytes);
}

/// <summary>One burst of a plan.</summary>
/// <param name="Bytes">At least 1; <see cref="KernelClient"/> cuts it to what is left and to <see cref="WellKnown.BurstBytes"/>.</param>
/// <param name="PauseUs">Time the kernel spends elsewhere (compressing, say) before it sends the burst; it does not look at its NIC meanwhile.</param>
public readonly record struct BurstStep(int Bytes, long PauseUs = 0);

/// <summary>Bursts of one size, as a kernel sends them from memory that is contiguous.</summary>
public sealed class FixedBursts(int burstBytes = WellKnown.BurstBytes) : IBurstPlan
{
    public BurstStep StepAt(ulong offset, ulong leftBytes) => new(burstBytes);
}

/// <summary>Bursts of one to sixteen pages, as a kernel sends them from fragmented memory.</summary>
public sealed class RandomPageBursts(Random random) : IBurstPlan
{
    public BurstStep StepAt(ulong offset, ulong leftBytes) =>
        new(random.Next(1, WellKnown.BurstBytes / WellKnown.PageBytes + 1) * WellKnown.PageBytes);
}
