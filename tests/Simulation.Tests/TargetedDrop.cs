namespace NetdumpCollector.Simulation.Tests;

/// <summary>Which packets of a burst are lost on purpose.</summary>
internal enum DropKind
{
    None,

    /// <summary>Packet i of the alias pair (i, i + 32).</summary>
    AliasLow,

    /// <summary>Packet i + 32.</summary>
    AliasHigh,

    AliasBoth,
    Head,
    Tail,
    Whole,

    /// <summary>Everything from index 32 on.</summary>
    UpperHalf,

    /// <summary>The acks of the whole burst.</summary>
    Acks,
}

/// <summary>Packets of one VMCORE burst that are lost in its first transmissions.</summary>
/// <param name="Kind">Which of its packets.</param>
/// <param name="Burst">The VMCORE burst, counted from 0.</param>
/// <param name="Times">How many transmissions of each are lost.</param>
/// <param name="Low">The lower index of an alias pair.</param>
internal readonly record struct TargetedDrop(DropKind Kind, int Burst, int Times, int Low = 0)
{
    public static readonly DropKind[] Ends = [DropKind.Head, DropKind.Tail, DropKind.Tail, DropKind.Whole, DropKind.UpperHalf, DropKind.Acks];

    public bool DropsPacket(int burst, int index, int packets, int transmission) => burst == Burst && transmission <= Times && Kind switch
    {
        DropKind.AliasLow => index == Low,
        DropKind.AliasHigh => index == Low + 32,
        DropKind.AliasBoth => index == Low || index == Low + 32,
        DropKind.Head => index == 0,
        DropKind.Tail => index == packets - 1,
        DropKind.Whole => true,
        DropKind.UpperHalf => index >= 32,
        _ => false,
    };

    public bool DropsAck(int burst, int timesSent) => Kind == DropKind.Acks && burst == Burst && timesSent <= Times;
}
