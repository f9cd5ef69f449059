using System.Globalization;

namespace NetdumpCollector.Protocol.Storm;

/// <summary>How much of a dump is stored.</summary>
public enum KeepKind
{
    /// <summary>All of it.</summary>
    Full,

    /// <summary>The first bytes.</summary>
    Head,

    /// <summary>All of the first few dumps with the same panic message in an hour, the first bytes of the others.</summary>
    Auto,
}

/// <summary>The operator's choice of how much of each dump is stored.</summary>
/// <param name="Kind">What decides.</param>
/// <param name="HeadBytes">So many bytes are stored of a dump that is cut; 0 where none is.</param>
/// <param name="FullPerHour">With <see cref="KeepKind.Auto"/>: so many dumps with one message are stored whole per hour; else 0.</param>
public sealed record KeepPolicy(KeepKind Kind, long HeadBytes, int FullPerHour)
{
    /// <summary>What <see cref="KeepKind.Auto"/> stores whole unless told otherwise.</summary>
    public const int DefaultFullPerHour = 3;

    public const int MaxFullPerHour = 1000;

    /// <summary>What <see cref="KeepKind.Auto"/> keeps of the others: the header and a message buffer of up to ten times its usual size.</summary>
    public const long AutoHeadBytes = 1 << 20;

    /// <summary>Less would not even hold the header and a message.</summary>
    public const long MinHeadBytes = 2 * WellKnown.PageBytes;

    public static KeepPolicy Full { get; } = new(KeepKind.Full, 0, 0);

    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bytes"/> is less than <see cref="MinHeadBytes"/>.</exception>
    public static KeepPolicy Head(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, MinHeadBytes);
        return new(KeepKind.Head, bytes, 0);
    }

    /// <exception cref="ArgumentOutOfRangeException"><paramref name="fullPerHour"/> is not from 1 to <see cref="MaxFullPerHour"/>.</exception>
    public static KeepPolicy Auto(int fullPerHour = DefaultFullPerHour)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fullPerHour, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fullPerHour, MaxFullPerHour);
        return new(KeepKind.Auto, AutoHeadBytes, fullPerHour);
    }

    /// <summary>As the setting is written, in its longest form and with sizes in bytes: the policy's name in a dump's manifest.</summary>
    public string Name => Kind switch
    {
        KeepKind.Head => string.Create(CultureInfo.InvariantCulture, $"head:{HeadBytes}"),
        KeepKind.Auto => string.Create(CultureInfo.InvariantCulture, $"auto:{FullPerHour}"),
        _ => "full",
    };
}
