using System.Security.Cryptography;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Decides whose heralds are answered; one for all event loops.</summary>
/// <remarks>
/// Anybody can send a herald in anybody's name. So a herald is never counted against the host it names, only what data has followed: a storm of spoofed
/// heralds, wherever they claim to come from, uses up nobody's share. What it costs is bounded apart from that: half-open sessions are forgotten, the oldest first
/// (<see cref="IngressOptions.MaxHalfOpen"/>), and only some of them get sockets. Asked once per herald, and again when data follows, because heralds that come together know nothing of each other; never about a packet of a dump.
/// Sans-I/O; takes a lock, as each loop has its own ingress, and never holds it for more than a few memory accesses.
/// </remarks>
public sealed class Admission
{
    private const int NetworkShift = 8;

    /// <summary>More than dumps can run: an address that falls out of the table could start a few dumps too many, at worst.</summary>
    private const int TableEntries = 16_384;

    private readonly Lock _lock = new();
    private readonly AdmissionOptions _options;
    private readonly RateTable _sources;
    private readonly RateTable _networks;
    private int _halfOpenEndpoints;

    public Admission(AdmissionOptions options)
        : this(options, BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))))
    {
    }

    /// <param name="options">The limits.</param>
    /// <param name="seed">Keeps an attacker from knowing which addresses meet in the tables.</param>
    internal Admission(AdmissionOptions options, ulong seed)
    {
        _options = options;
        _sources = new(options.DumpsPerSource, TableEntries, seed);
        _networks = new(options.DumpsPerNetwork, TableEntries, seed);
    }

    /// <summary>Whether one more half-open session may have a socket of its own.</summary>
    public bool HasRoomForEndpoint => Volatile.Read(ref _halfOpenEndpoints) < _options.MaxHalfOpenEndpoints;

    /// <summary>Whether the operator wants the source to be served.</summary>
    public bool Allows(Ipv4 source) => !_options.Denied.Contains(source) && (_options.Allowed.IsEmpty || _options.Allowed.Contains(source));

    /// <summary>Whether a herald that would open a session is to be met with silence.</summary>
    /// <returns>Why, or null when it is to be answered.</returns>
    public RejectReason? RefusalOf(Ipv4 source, long nowUs)
    {
        if (!Allows(source))
            return RejectReason.NotAllowed;
        lock (_lock)
            return RateRefusalOf(source, nowUs);
    }

    /// <summary>Data followed a herald: it takes from its source's share, unless others have used that up since the herald.</summary>
    /// <returns>Why the dump must not begin, or null when it may.</returns>
    public RejectReason? TryBeginDump(Ipv4 source, long nowUs)
    {
        lock (_lock)
        {
            if (RateRefusalOf(source, nowUs) is { } refusal)
                return refusal;
            _sources.Take(source.Value, nowUs);
            _networks.Take(source.Value >> NetworkShift, nowUs);
            return null;
        }
    }

    private RejectReason? RateRefusalOf(Ipv4 source, long nowUs)
    {
        if (_sources.IsExhausted(source.Value, nowUs))
            return RejectReason.TooManyFromSource;
        return _networks.IsExhausted(source.Value >> NetworkShift, nowUs) ? RejectReason.TooManyFromNetwork : null;
    }

    /// <summary>A half-open session has a socket of its own.</summary>
    public void AddHalfOpenEndpoint() => Interlocked.Increment(ref _halfOpenEndpoints);

    /// <summary>It has data now, or is gone.</summary>
    public void RemoveHalfOpenEndpoint() => Interlocked.Decrement(ref _halfOpenEndpoints);
}
