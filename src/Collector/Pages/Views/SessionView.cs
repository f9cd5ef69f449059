using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>A session as a page shows it.</summary>
public sealed record SessionView
{
    /// <summary>A kernel repeats a packet each second, so that nothing for longer is worth a look.</summary>
    private const double NotedSilenceSeconds = 2;

    /// <summary>Tells it apart from all others.</summary>
    public required string Key { get; init; }
    public required string Client { get; init; }

    /// <summary>Null while it is not known.</summary>
    public required string? Host { get; init; }

    /// <summary>As in <see cref="SessionPhases"/>.</summary>
    public required string Phase { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    public required double SilentSeconds { get; init; }
    public required ulong Bytes { get; init; }

    /// <summary>What the whole dump has, null while that can only be guessed.</summary>
    public required ulong? TotalBytes { get; init; }

    /// <summary>What the whole dump probably has, null where nothing tells.</summary>
    public required ulong? ExpectedBytes { get; init; }
    public required double BytesPerSecond { get; init; }
    public required string? Error { get; init; }

    /// <summary>The node that receives it; null without a fleet.</summary>
    public string? Node { get; init; }

    public string Name => Host ?? Client;

    public bool IsReceiving => Phase == SessionPhases.Receiving;

    public bool IsSilent => IsReceiving && SilentSeconds > NotedSilenceSeconds;

    public bool IsTroubled => Error is not null || IsSilent || Phase == SessionPhases.Orphaned;

    /// <summary>Bytes that 100 % stand for; null where nobody knows, also when more came than was expected.</summary>
    public ulong? Goal => TotalBytes ?? (ExpectedBytes >= Bytes ? ExpectedBytes : null);

    public bool IsGoalEstimated => TotalBytes is null;

    /// <summary>From 0 to 100.</summary>
    public int? Percent => Goal is ulong goal and > 0 ? (int)Math.Min(100, 100.0 * Bytes / goal) : null;

    /// <summary>Until all bytes are there, at the rate of now.</summary>
    public TimeSpan? TimeLeft => IsReceiving && BytesPerSecond >= 1 && Goal is ulong goal && goal > Bytes
        ? TimeSpan.FromSeconds(Math.Min((goal - Bytes) / BytesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2)) : null;

    internal static SessionView Of(SessionRow session, double bytesPerSecond) => new()
    {
        Key = session.Node is string node ? $"{node}-{session.Client}-{session.StartedAt.Ticks}" : $"{session.Client}-{session.StartedAt.Ticks}",
        Client = session.Client,
        Host = session.Host,
        Phase = session.Phase,
        StartedAt = session.StartedAt,
        SilentSeconds = session.SilentSeconds,
        Bytes = session.Bytes,
        TotalBytes = session.TotalBytes,
        ExpectedBytes = session.ExpectedBytes,
        BytesPerSecond = bytesPerSecond,
        Error = session.Error,
        Node = session.Node,
    };
}
