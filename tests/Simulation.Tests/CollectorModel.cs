using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>Our server's shell in the model: sockets, batches, disk and commits around <see cref="DumpSession"/>, one endpoint per session.</summary>
internal sealed class CollectorModel(IServerWorld world) : IServerModel
{
    private const ushort FirstEndpointPort = 20100;

    private readonly List<Slot> _slots = [];

    /// <summary>A session, its endpoint and its file.</summary>
    private sealed class Slot(DumpSession session, ushort port)
    {
        public readonly DumpSession Session = session;
        public readonly ushort Port = port;
        public readonly ModelDisk Disk = new();
        public readonly Queue<(byte[] Datagram, int Length)> Inbox = [];
        public readonly List<(byte[] Datagram, int Length)> Batch = [];
        public long PollUs = long.MaxValue;
        public long StoreDoneUs = long.MaxValue;
        public long CommitUs = long.MaxValue;
        public bool IsTentative;

        public bool IsStoring => StoreDoneUs != long.MaxValue;
    }

    public DumpOutcome? Outcome { get; private set; }

    public long WakeUs
    {
        get
        {
            long wake = long.MaxValue;
            foreach (var slot in _slots)
                wake = Math.Min(wake, WakeOf(slot));
            return wake;
        }
    }

    /// <summary>The bytes that a packet's intent names.</summary>
    private static ReadOnlySpan<byte> BytesOf(Slot slot, in StoreIntent intent) => intent.Tag == StoreIntent.OwnBytes
        ? slot.Session.RelocatedBytes
        : slot.Batch[intent.Tag].Datagram.AsSpan(MessageHeader.SizeBytes, intent.Length);

    public void Deliver(ushort port, byte[] datagram, int length, long nowUs)
    {
        var slot = port == WellKnown.HeraldPort ? SlotOfHerald(datagram.AsSpan(0, length), nowUs) : _slots[port - FirstEndpointPort];
        slot.Inbox.Enqueue((datagram, length));
        if (slot.PollUs == long.MaxValue)
            slot.PollUs = nowUs + world.Random.NextInt64(1, world.Scenario.ServerPollUs + 1);
    }

    public void Wake(long nowUs)
    {
        foreach (var slot in _slots)
        {
            if (WakeOf(slot) > nowUs)
                continue;
            if (slot.StoreDoneUs <= nowUs)
                FinishStore(slot, nowUs);
            else if (slot.CommitUs <= nowUs)
                Commit(slot, nowUs);
            else if (!slot.IsStoring && slot.PollUs <= nowUs)
                TakeBatch(slot, nowUs);
            else
                Tick(slot, nowUs);
        }
    }

    private long WakeOf(Slot slot)
    {
        long wake = Math.Min(slot.StoreDoneUs, slot.CommitUs);
        if (!slot.IsStoring)
            wake = Math.Min(wake, slot.PollUs);
        if (!slot.IsStoring || world.Scenario.TicksWhileStoring)
            wake = Math.Min(wake, slot.Session.WakeUs);
        return wake;
    }

    /// <summary>A repeated herald belongs to the session that waits for data; one that comes later opens a tentative session (protocol.md, "FINISHED").</summary>
    private Slot SlotOfHerald(ReadOnlySpan<byte> datagram, long nowUs)
    {
        if (!MessageHeader.TryRead(datagram, out var header) || header.Type != MessageType.Herald)
            throw world.Broken("the client sent something else than a herald to the herald port");

        var waiting = _slots.Find(s => s.Session.Phase == SessionPhase.HalfOpen);
        if (waiting is not null)
            return waiting;

        if (_slots.Count > 0)
            world.Faults.Count(FaultCoverage.HeraldLate);
        var slot = new Slot(new(new(), header.Seqno, nowUs), (ushort)(FirstEndpointPort + _slots.Count)) { IsTentative = _slots.Count > 0 };
        _slots.Add(slot);
        return slot;
    }

    private void TakeBatch(Slot slot, long nowUs)
    {
        slot.Batch.Clear();
        while (slot.Batch.Count < world.Scenario.BatchMax && slot.Inbox.TryDequeue(out var packet))
        {
            if (!MessageHeader.TryRead(packet.Datagram.AsSpan(0, packet.Length), out var header))
                throw world.Broken("the client sent a datagram that is no message");

            var phase = slot.Session.Phase;
            var rejected = slot.Session.OnMessage(header, packet.Datagram.AsSpan(MessageHeader.SizeBytes, (int)header.Length), slot.Batch.Count, nowUs);
            if (header.Type == MessageType.Herald && phase == SessionPhase.HalfOpen && slot.Session.Counters.Packets > 1 && header.Offset == 0)
                world.Faults.Count(FaultCoverage.HeraldRepeated);
            if (rejected is not null)
                world.Trace($"rejected {header}: {rejected}");
            if (slot.IsTentative && header.Type != MessageType.Herald)
                throw world.Broken($"{header} went to a tentative session although the first one had answered");
            slot.Batch.Add(packet);
        }

        slot.PollUs = slot.Inbox.Count > 0 ? nowUs + 1 : long.MaxValue;
        if (world.Scenario.DiskStall > 0 && !slot.Session.Writes.IsEmpty && world.Random.NextDouble() < world.Scenario.DiskStall)
        {
            world.Faults.Count(FaultCoverage.DiskStalled);
            slot.StoreDoneUs = nowUs + world.Random.NextInt64(1, world.Scenario.DiskStallUs + 1);
        }
        else
        {
            FinishStore(slot, nowUs);
        }
    }

    private void FinishStore(Slot slot, long nowUs)
    {
        slot.StoreDoneUs = long.MaxValue;
        var session = slot.Session;
        int work = session.Writes.Length + session.Records.Length;
        int done = world.Scenario.IsFull(nowUs) && work > 0 ? world.Random.Next(work) : work;
        for (int i = 0; i < Math.Min(done, session.Writes.Length); i++)
        {
            slot.Disk.Write(session.Writes[i].Offset, BytesOf(slot, session.Writes[i]));
            slot.Disk.NotePacket(session.Writes[i].Seqno);
        }

        for (int i = 0; i < done - session.Writes.Length; i++)
            slot.Disk.NotePacket(session.Records[i].Seqno);

        if (done < work)
        {
            world.Faults.Count(FaultCoverage.NoSpace);
            if (done < session.Writes.Length)
            {
                var torn = session.Writes[done];
                slot.Disk.WriteTorn(torn.Offset, BytesOf(slot, torn)[..world.Random.Next(torn.Length)]);
            }

            session.OnStoreFailed(Math.Min(done, session.Writes.Length), Math.Max(0, done - session.Writes.Length), "No space left on device", nowUs);
        }
        else
        {
            for (int i = 0; i < session.Compares.Length; i++)
            {
                if (!slot.Disk.Holds(session.Compares[i].Offset, BytesOf(slot, session.Compares[i])))
                    session.OnMismatch(i);
            }

            session.OnStored(nowUs);
        }

        AfterStep(slot, nowUs);
    }

    private void Tick(Slot slot, long nowUs)
    {
        if (slot.IsStoring)
            world.Faults.Count(FaultCoverage.TickedWhileStoring);
        slot.Session.OnTick(nowUs);
        AfterStep(slot, nowUs);
        if (slot.Session.WakeUs <= nowUs)
            throw world.Broken($"the session wants to be woken at {slot.Session.WakeUs} again and again");
    }

    private void Commit(Slot slot, long nowUs)
    {
        slot.CommitUs = long.MaxValue;
        if (!slot.IsTentative)
            Outcome = new(slot.Session.Summary!.Status == DumpStatus.Complete, slot.Session.Summary, slot.Disk);
        slot.Session.OnCommitted(nowUs);
        AfterStep(slot, nowUs);
    }

    private void AfterStep(Slot slot, long nowUs)
    {
        var session = slot.Session;
        foreach (uint seqno in session.Acks)
            world.SendAck(slot.Port, seqno, slot.Disk);
        session.ClearAcks();
        if (session.Phase == SessionPhase.Ending && slot.CommitUs == long.MaxValue)
            slot.CommitUs = nowUs + world.Random.NextInt64(1, world.Scenario.CommitUs + 1);
    }
}
