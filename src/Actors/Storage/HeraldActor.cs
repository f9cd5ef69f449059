using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Keeps the ledger of heralds that were answered and that nothing followed yet.</summary>
public sealed class HeraldActor(HeraldLedger ledger) : Actor<HeraldActor.Message>
{
    public abstract record Message;

    /// <summary>A herald was answered; or more of its path came.</summary>
    public sealed record Remember(SessionRoute Session, HeraldRecord Herald) : Message;

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

                break;
            case Forget forget:
                if (_slots.Remove(forget.Session, out int used))
                    ledger.Clear(used);
                break;
        }
    }
}
