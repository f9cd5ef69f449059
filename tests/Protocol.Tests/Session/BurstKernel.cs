using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>How a dump is sent through a bad network in <see cref="BurstKernel"/>; all randomness comes from the seed.</summary>
internal readonly record struct LossyDump(int Payload, int Seed, int LossPercent, int DuplicatePercent, int ReorderPercent, bool Slow);

/// <summary>
/// A kernel with its 32-bit ack bitmap, and the network between it and <see cref="BurstAcks"/>. Every ack that is released is judged at once.
/// </summary>
internal sealed class BurstKernel(LossyDump dump)
{
    private const int Bursts = 8;
    private const int Sends = 12;

    /// <summary>From this round on nothing is lost any more, so that the kernel has no excuse.</summary>
    private const int HealedRound = 5;

    private readonly Random _random = new(dump.Seed);
    private readonly BurstAcksDriver _server = new(first: uint.MaxValue - 100, options: new());

    private uint _acked;

    /// <summary>What the rules were broken by, or null.</summary>
    public string? Broken { get; private set; }

    /// <summary>Sends the dump to its end.</summary>
    public void Run()
    {
        // Header page, message buffer, pages: whole buffers but for a few, as the minidump code flushes its buffer.
        var burst = new Burst(_server.Bursts.Base, 0, WellKnown.PageBytes, dump.Payload);
        for (int i = 0; i < Bursts && Broken is null; i++)
        {
            Send(burst);
            burst = burst.Next(_random.Next(3) == 0 ? _random.Next(1, 17) * WellKnown.PageBytes : WellKnown.BurstBytes);
        }
    }

    private void Send(Burst burst)
    {
        _acked = 0;
        uint wanted = uint.MaxValue >> Math.Max(0, 32 - burst.Count);
        for (int round = 0; round < Sends; round++)
        {
            SendRound(burst, round, wanted);
            if (_acked == wanted)
                break;
            _server.WaitForRound();
            Judge(burst);
            if (_acked == wanted)
                break;
        }

        if (_acked != wanted)
            Broken ??= $"{burst}: the kernel gave up, acked {_acked:x8}";
        else if (!burst.All.All(index => _server.Stored.Contains(burst[index].Seqno)))
            Broken ??= $"{burst}: the kernel believes it acked and it has a hole";
    }

    private void SendRound(Burst burst, int round, uint wanted)
    {
        var wire = new List<BurstPacket>();
        foreach (int index in burst.All)
        {
            if ((_acked & 1u << index) != 0)
                continue;
            if (round < HealedRound && _random.Next(100) < dump.LossPercent)
                continue;
            wire.Add(burst[index]);
            if (_random.Next(100) < dump.DuplicatePercent)
                wire.Insert(_random.Next(wire.Count), burst[index]);
        }

        for (int i = 1; i < wire.Count; i++)
        {
            if (_random.Next(100) >= dump.ReorderPercent)
                continue;
            int other = _random.Next(i);
            (wire[i], wire[other]) = (wire[other], wire[i]);
        }

        for (int at = 0; at < wire.Count;)
        {
            int batch = Math.Min(wire.Count - at, _random.Next(1, 65));
            foreach (var packet in wire.GetRange(at, batch))
                ReceiveOne(packet);
            at += batch;
            if (dump.Slow && _random.Next(4) == 0)
                _server.Wait(_random.Next(300_000));
            _server.StorePending();
            Judge(burst);
            _server.Wait(_random.Next(2_000));
            Judge(burst);
            if (_acked == wanted)
                return;
        }
    }

    private void ReceiveOne(BurstPacket packet)
    {
        var arrival = _server.Arrive(packet);
        if (arrival == Arrival.RepeatToAck)
            _repeatsToAck.Add(packet.Seqno);
        else if (arrival is Arrival.Conflict or Arrival.Stray)
            Broken ??= $"seqno {packet.Seqno} was judged {arrival}";
    }

    private readonly List<uint> _repeatsToAck = [];

    /// <summary>Takes the released acks as the kernel does and holds each against what is stored.</summary>
    private void Judge(Burst burst)
    {
        foreach (uint seqno in _server.TakeAcks().Concat(_repeatsToAck))
        {
            int index = (int)(seqno - burst.First);
            if (index < 0)
                continue;
            if (index >= WellKnown.AckWindow || index >= burst.Count)
                Broken ??= $"{burst}: acked index {index}";
            for (int partner = index % WellKnown.AckBitmapBits; partner < burst.Count; partner += WellKnown.AckBitmapBits)
            {
                if (!_server.Stored.Contains(burst.First + (uint)partner))
                    Broken ??= $"{burst}: acked index {index} while {partner} is missing";
            }

            _acked |= 1u << index;
        }

        _repeatsToAck.Clear();
    }
}
