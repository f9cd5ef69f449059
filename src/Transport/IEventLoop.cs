using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport;

/// <summary>One thread that polls sockets, fires timers and runs posted work; everything it calls runs on that thread.</summary>
/// <remarks>
/// Sockets are opened, used and closed on the loop's thread only. Work may be posted from any thread.
/// An exception thrown by a receiver, timer or work item is passed to the handler given at creation and the loop goes on.
/// </remarks>
public interface IEventLoop : IDisposable
{
    /// <summary>True on the loop's own thread.</summary>
    bool IsCurrent { get; }

    /// <summary>Monotonic time in microseconds, read once per poll round.</summary>
    long NowUs { get; }

    /// <summary>Starts the thread.</summary>
    void Start();

    /// <summary>Queues <paramref name="work"/> from any thread and wakes the loop.</summary>
    void Post(ILoopWork work);

    /// <summary>Arms <paramref name="timer"/>, moving it when it is armed already; <see cref="long.MaxValue"/> disarms.</summary>
    void SetTimer(LoopTimer timer, long dueUs);

    /// <summary>Opens an unconnected, non-blocking UDP socket.</summary>
    /// <exception cref="EndpointException">The address or port cannot be had; the message says which and why.</exception>
    IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver);
}

/// <summary>Work run once on the loop's thread.</summary>
public interface ILoopWork
{
    void Run();
}

/// <summary>A timer that lives in the loop's heap; arming and firing allocate nothing.</summary>
public abstract class LoopTimer
{
    /// <summary>When it fires, <see cref="long.MaxValue"/> while disarmed.</summary>
    public long DueUs { get; internal set; } = long.MaxValue;

    internal int HeapIndex { get; set; } = -1;

    /// <summary>Called on the loop's thread at or after <see cref="DueUs"/>; the timer is disarmed by then and may be armed again.</summary>
    public abstract void OnDue(long nowUs);
}

/// <summary>Takes what a socket received.</summary>
public interface IDatagramReceiver
{
    /// <summary>One poll's datagrams in order of arrival. On the herald socket they may come from many hosts; those of one host follow each other where the socket says so.</summary>
    void OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams);
}

/// <summary>How a socket is to be opened.</summary>
public sealed record EndpointOptions
{
    /// <summary>Address to bind, <see cref="Ipv4.Any"/> for all.</summary>
    public required Ipv4 Address { get; init; }

    /// <summary>Port to bind, 0 for one that the system picks.</summary>
    public required ushort Port { get; init; }

    /// <summary>Receive buffer to ask for, in bytes; granted in full only to a process with CAP_NET_ADMIN, else up to net.core.rmem_max.</summary>
    public required int ReceiveBufferBytes { get; init; }

    /// <summary>Many hosts send to this socket: their datagrams are grouped by source before they are delivered.</summary>
    public bool ManySources { get; init; }
}

/// <summary>An open UDP socket.</summary>
public interface IUdpEndpoint : IDisposable
{
    Ipv4 Address { get; }
    ushort Port { get; }

    /// <summary>Receive buffer the system granted, in bytes.</summary>
    int ReceiveBufferBytes { get; }

    /// <summary>Datagrams the kernel dropped because this socket's buffer was full.</summary>
    long Drops { get; }

    /// <summary>Sends each seqno as an ack datagram of its own from <paramref name="local"/>; what the system cannot take now is lost, as on any network.</summary>
    void SendAcks(Ipv4 local, Ipv4 remote, ushort remotePort, ReadOnlySpan<uint> seqnos);

    /// <summary>Sends one datagram from the socket's own address.</summary>
    void Send(Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram);
}

/// <summary>A socket could not be opened.</summary>
public sealed class EndpointException(string message, EndpointError error, Exception? inner = null) : Exception(message, inner)
{
    public EndpointError Error { get; } = error;
}

/// <summary>What stood in the way of a socket.</summary>
public enum EndpointError
{
    PortTaken,
    AddressNotLocal,
    NotPermitted,
    NoDescriptors,
    Other,
}
