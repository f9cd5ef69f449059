using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>Datagrams of one client, in memory that is valid only while the message is handled.</summary>
/// <remarks>One instance serves a receiver for good, so that handing a burst to an actor allocates nothing; it must be delivered, never queued.</remarks>
internal sealed unsafe record PacketRun : SessionActor.Message
{
    private nint _first;
    private int _count;

    public ReadOnlySpan<Datagram> Datagrams => new((void*)_first, _count);

    /// <summary>A tentative session may take over: whether these packets advance the session decides that.</summary>
    public bool HasRival { get; private set; }

    /// <summary>The tentative session could be sent these packets too: what differs from the stored bytes is its own.</summary>
    public bool IsContested { get; private set; }

    /// <summary>Hands the datagrams to the session now.</summary>
    /// <returns>False when the session cannot take them; they are lost, as on any network.</returns>
    public bool DeliverTo(Runtime.ActorRef<SessionActor.Message> session, ReadOnlySpan<Datagram> datagrams, bool hasRival = false, bool isContested = false)
    {
        HasRival = hasRival;
        IsContested = isContested;
        fixed (Datagram* first = datagrams)
        {
            _first = (nint)first;
            _count = datagrams.Length;
            // Not cleared afterwards: the loop may have moved on by then, and its new thread use this instance.
            return session.TryHandleNow(this);
        }
    }
}
