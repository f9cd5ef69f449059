using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Keeps the ledger of heralds that were answered and that nothing followed yet.</summary>
public sealed class HeraldActor(HeraldLedger ledger) : Actor<HeraldActor.Message>
{
    public abstract record Message;

    /// <summary>A herald is about to be answered, or more of its path came; the session is told when that is written down.</summary>
    public sealed record Remember(SessionRoute Session, HeraldRecord Herald) : Message;

    /// <summary>The session of a herald that an earlier process remembered.</summary>
    public sealed record Adopt(SessionRoute Session, int Place) : Message;

    /// <summary>No session continues what an earlier process remembered.</summary>
    public sealed record Drop(int Place) : Message;

    /// <summary>The session has a ledger of its own now, or is over.</summary>
    public sealed record Forget(SessionRoute Session) : Message;

    private readonly Dictionary<SessionRoute, int> _slots = [];

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Remember remember:
                if (_slots.TryGetValue(remember.Session, out int slot) || ledger.TryTake(out slot))
                {
                    _slots[remember.Session] = slot;
                    ledger.Write(slot, remember.Herald);
                }

                remember.Session.Ref.Tell(new SessionActor.HeraldNoted());
                break;
            case Adopt adopt:
                _slots[adopt.Session] = adopt.Place;
                break;
            case Drop drop:
                ledger.Clear(drop.Place);
                break;
            case Forget forget:
                if (_slots.Remove(forget.Session, out int used))
                    ledger.Clear(used);
                break;
        }
    }
}
