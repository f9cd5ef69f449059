using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport;

/// <summary>One thread that polls sockets, fires timers and runs posted work; everything it calls runs on that thread.</summary>
/// <remarks>
/// Sockets are opened, used and closed on the loop's thread only. Work may be posted from any thread.
/// The thread may change between two calls when one of them is stuck, see <see cref="BeginBlockingCall"/>.
/// An exception thrown by a receiver, timer or work item is passed to the handler given at creation and the loop goes on.
/// </remarks>
public interface IEventLoop : IDisposable
{
    /// <summary>True on the loop's own thread.</summary>
    bool IsCurrent { get; }

    /// <summary>Monotonic time in microseconds, read once per poll round.</summary>
    long NowUs { get; }

    /// <summary>How long the loop was not waiting for anything, since its start; read by any thread.</summary>
    TimeSpan BusyTime { get; }

    /// <summary>Starts the thread.</summary>
    void Start();

    /// <summary>Queues <paramref name="work"/> from any thread and wakes the loop.</summary>
    void Post(ILoopWork work);

    /// <summary>Arms <paramref name="timer"/>, moving it when it is armed already; <see cref="long.MaxValue"/> disarms.</summary>
    void SetTimer(LoopTimer timer, long dueUs);

    /// <summary>Opens an unconnected, non-blocking UDP socket.</summary>
    /// <exception cref="EndpointException">The address or port cannot be had; the message says which and why.</exception>
    IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver);

    /// <summary>
    /// Announces, on the loop's thread, a call that a device may hold up; costs nanoseconds. When it waits for longer than about 30 ms, the loop goes on with another
    /// thread: with what was received and not delivered yet, with later datagrams, timers and work. Calls do not nest, and each is ended by <see cref="EndBlockingCall"/>.
    /// </summary>
    /// <param name="observer">Told when that happens.</param>
    void BeginBlockingCall(IStallObserver observer);

    /// <summary>
    /// Ends the call. False: the loop has gone on without this thread, which must touch nothing of the loop's any more (timers, endpoints, whatever else belongs to the loop's
    /// thread) and only return; <see cref="Post"/> is allowed.
    /// </summary>
    bool EndBlockingCall();
}

/// <summary>Learns that a call is stuck.</summary>
public interface IStallObserver
{
    /// <summary>Called on a thread of its own before the loop goes on: from now on, calls to the same device should not be made on a loop. It must not wait.</summary>
    void OnStall();
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
    /// <summary>Datagrams in order of arrival: one poll's, or where the socket has many sources, one source's of them.</summary>
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

    /// <summary>Many hosts send to this socket: each delivery has the datagrams of one source, as far as they came together.</summary>
    public bool ManySources { get; init; }

    /// <summary>How many sockets, of as many loops, share <see cref="Address"/> and <see cref="Port"/>: 1, or up to 65535 where <see cref="ITransport.CanShard"/>.</summary>
    /// <remarks>
    /// What a host sends comes to the shard that <see cref="SourceShards.ShardOf"/> names; to any of them while not all are open, after one was closed, or where the system forbids to choose.
    /// The port belongs to the group alone: another group, of this process or another, finds it taken.
    /// </remarks>
    public int Shards { get; init; } = 1;

    /// <summary>Which of <see cref="Shards"/> this is. They are opened in ascending order, each when the one before is open, all with the port that shard 0 got.</summary>
    public int Shard { get; init; }
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
