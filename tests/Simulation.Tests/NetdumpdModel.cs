using NetdumpCollector.Protocol;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A server that acks each packet as it is stored and calls a dump complete when FINISHED comes, as netdumpd does.</summary>
internal sealed class NetdumpdModel(IServerWorld world) : IServerModel
{
    private const ushort SessionPort = 40000;

    private readonly ModelDisk _disk = new();
    private readonly Queue<(byte[] Datagram, int Length)> _inbox = [];

    public DumpOutcome? Outcome { get; private set; }

    public long WakeUs { get; private set; } = long.MaxValue;

    public void Deliver(ushort port, byte[] datagram, int length, long nowUs)
    {
        _inbox.Enqueue((datagram, length));
        if (WakeUs == long.MaxValue)
            WakeUs = nowUs + world.Random.NextInt64(1, world.Scenario.ServerPollUs + 1);
    }

    public void Wake(long nowUs)
    {
        WakeUs = long.MaxValue;
        while (_inbox.TryDequeue(out var packet))
        {
            if (!MessageHeader.TryRead(packet.Datagram.AsSpan(0, packet.Length), out var header))
                throw world.Broken("the client sent a datagram that is no message");
            if (header.Type == MessageType.Vmcore)
                _disk.Write(header.Offset, packet.Datagram.AsSpan(MessageHeader.SizeBytes, (int)header.Length));
            if (header.Type == MessageType.Finished)
                Outcome = new(IsComplete: true, Summary: null, _disk);
            _disk.NotePacket(header.Seqno);
            world.SendAck(SessionPort, header.Seqno, _disk);
        }
    }
}
