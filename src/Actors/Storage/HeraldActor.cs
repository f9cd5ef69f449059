using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol.Session;
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

    /// <summary>Places are searched for lost ones at most this often.</summary>
    private const long SweepUs = 1_000_000;

    /// <summary>A herald that nothing has followed for so long is forgotten by its session; where a full mailbox has lost that, here.</summary>
    private static readonly long s_longestUs = new SessionOptions().HalfOpenTimeoutUs;

    private readonly Dictionary<SessionRoute, (int Place, long AtUs)> _slots = [];
    private long _sweptUs = long.MinValue / 2;

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Remember remember:
                if (TryTake(remember.Session, out int place))
                {
                    _slots[remember.Session] = (place, Context.NowUs);
                    ledger.Write(place, remember.Herald);
                }

                remember.Session.Ref.Tell(new SessionActor.HeraldNoted());
                break;
            case Adopt adopt:
                _slots[adopt.Session] = (adopt.Place, Context.NowUs);
                break;
            case Drop drop:
                ledger.Clear(drop.Place);
                break;
            case Forget forget:
                if (_slots.Remove(forget.Session, out var used))
                    ledger.Clear(used.Place);
                break;
        }
    }

    /// <summary>The session's place, or a free one; false when all are taken.</summary>
    private bool TryTake(SessionRoute session, out int place)
    {
        if (_slots.TryGetValue(session, out var known))
        {
            place = known.Place;
            return true;
        }

        if (ledger.TryTake(out place))
            return true;
        // A storm of heralds may come when all places are taken for good reasons.
        if (Context.NowUs - _sweptUs < SweepUs)
            return false;
        _sweptUs = Context.NowUs;
        foreach (var (lost, note) in _slots)
        {
            if (Context.NowUs - note.AtUs <= s_longestUs)
                continue;
            _slots.Remove(lost);
            ledger.Clear(note.Place);
        }

        return ledger.TryTake(out place);
    }
}
