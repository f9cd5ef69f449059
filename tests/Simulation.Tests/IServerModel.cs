using NetdumpCollector.Protocol;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A server under simulation.</summary>
internal interface IServerModel
{
    /// <summary>When <see cref="Wake"/> has something to do, <see cref="long.MaxValue"/> for never.</summary>
    long WakeUs { get; }

    /// <summary>Takes a datagram that arrives at <paramref name="port"/>; the array is the server's from now on.</summary>
    void Deliver(ushort port, byte[] datagram, int length, long nowUs);

    void Wake(long nowUs);

    /// <summary>What the dump came to; null while it runs or when there was none.</summary>
    DumpOutcome? Outcome { get; }
}

/// <summary>How a server says a dump ended.</summary>
/// <param name="IsComplete">The server vouches for every byte.</param>
/// <param name="Summary">All the server knows, when it is one that knows.</param>
/// <param name="Disk">The dump's file.</param>
internal sealed record DumpOutcome(bool IsComplete, DumpSummary? Summary, ModelDisk Disk);

/// <summary>What a server model may use of the simulated world.</summary>
internal interface IServerWorld
{
    Scenario Scenario { get; }
    Random Random { get; }

    /// <summary>When the server's process dies and comes back.</summary>
    ServerLife Life { get; }

    /// <summary>Sends an ack to the client; <paramref name="disk"/> is its dump's file, when there is one.</summary>
    void SendAck(ushort port, uint seqno, ModelDisk? disk);

    /// <summary>Notes a fault that happened inside the server.</summary>
    FaultCoverage Faults { get; }

    void Trace(string line);

    /// <summary>A promise is broken.</summary>
    Exception Broken(string what);
}
