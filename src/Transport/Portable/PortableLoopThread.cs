using System.Net.Sockets;

namespace NetdumpCollector.Transport.Portable;

/// <summary>Polls a loop's sockets with <see cref="Socket.Select(System.Collections.IList, System.Collections.IList, System.Collections.IList, TimeSpan)"/>.</summary>
internal sealed class PortableLoopThread(PortableEventLoop loop) : LoopThread(loop)
{
    // Where a socket holds more, it is visited again in the next round, after the others.
    private const int MaxDatagramsPerVisit = ReceivePool.SlotCount;

    private readonly List<Socket> _ready = [];

    public override bool PollSockets(int waitMs)
    {
        _ready.Clear();
        loop.CollectSockets(_ready);
        loop.BeginWait();
        Socket.Select(_ready, null, null, TimeSpan.FromMilliseconds(waitMs));
        loop.EndWait();

        foreach (Socket socket in _ready)
        {
            if (loop.TryGetBound(socket, out BoundSocket? bound))
            {
                if (!Visit(bound))
                    return false;
            }
            else
            {
                loop.TakeWakeUps(socket);
            }
        }
        return true;
    }

    private unsafe bool Visit(BoundSocket bound)
    {
        try
        {
            do
                Batch.Add(bound.Receive(Pool.Slot(Batch.Count), loop.Scratch));
            while (Batch.Count < MaxDatagramsPerVisit && bound.Socket.Poll(TimeSpan.Zero, SelectMode.SelectRead));
        }
        catch (SocketException)
        {
            // Nothing there after all, or the answer to an earlier send was reported instead of a datagram.
        }
        return Deliver(this, bound.Endpoint, bound.Endpoint.Receiver, bound.Endpoint.ManySources);
    }
}
