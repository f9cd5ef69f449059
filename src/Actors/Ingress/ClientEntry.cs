using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>The sessions of one client: normally one, and for a while the one that ended before it, or the one it may take over from.</summary>
internal sealed class ClientEntry(FlowKey key)
{
    public FlowKey Key { get; } = key;

    /// <summary>The session of the last herald.</summary>
    public SessionRoute? Newest { get; private set; }

    /// <summary>A session with data while <see cref="Newest"/> is tentative: the herald was a late duplicate or a new panic, and they look alike.</summary>
    public SessionRoute? Older { get; private set; }

    /// <summary>A session that ended and still answers FINISHED.</summary>
    public SessionRoute? Ended { get; private set; }

    public IEnumerable<SessionRoute> Sessions => new[] { Newest, Older, Ended }.OfType<SessionRoute>();

    public bool IsEmpty => Newest is null && Older is null && Ended is null;

    /// <summary>A herald opened another session.</summary>
    public void Add(SessionRoute session)
    {
        if (Newest is { Phase: SessionPhase.Receiving })
            Older = Newest;
        else if (Newest is not null)
            Ended = Newest;
        Newest = session;
        session.IsShadow = Older is not null;
    }

    /// <summary>A session of an earlier process goes on, maybe after later ones, because the file system of its dump answers only now.</summary>
    /// <returns>False when the host is known to have panicked anew since: the session is over.</returns>
    public bool Resume(SessionRoute session)
    {
        if (Newest is not { } newest || newest.StartedAt <= session.StartedAt)
        {
            Add(session);
            return true;
        }

        if (Older is null && newest is { Phase: SessionPhase.HalfOpen } && session is { Phase: SessionPhase.Receiving })
        {
            Older = session;
            newest.IsShadow = true;
            return true;
        }

        Ended ??= session;
        return false;
    }

    /// <summary>A session is gone.</summary>
    public void Remove(SessionRoute session)
    {
        if (Ended == session)
            Ended = null;
        if (Older == session)
            Older = null;
        if (Newest != session)
            return;
        Newest = Older;
        Older = null;
    }

    /// <summary>The newest session turned out to be a new panic: the older one is over.</summary>
    /// <returns>The older session, when <paramref name="winner"/> was tentative.</returns>
    public SessionRoute? Supersede(SessionRoute winner)
    {
        if (Older is null || Newest != winner)
            return null;
        var loser = Older;
        Ended = loser;
        Older = null;
        return loser;
    }

    /// <summary>Which session a packet that came to the herald port belongs to.</summary>
    /// <remarks>
    /// A kernel that is silent for longer than its retry budget has given up, so its successor goes first then; before, the successor gets only
    /// what the older one cannot have sent.
    /// </remarks>
    public SessionRoute? Find(in MessageHeader header, long nowUs, long retryBudgetUs)
    {
        if (Older is not null)
        {
            if (Newest is { IsProven: true } && Newest.Expects(header.Seqno))
                return Newest;
            bool olderGoesFirst = nowUs - Older.LastPacketUs < retryBudgetUs;
            if (olderGoesFirst)
                return Older.Expects(header.Seqno) ? Older : Newest;
            return Newest!.Expects(header.Seqno) ? Newest : Older;
        }

        if (header.Type == MessageType.Finished && Ended is not null && Newest is null or { Phase: SessionPhase.HalfOpen })
            return Ended ?? Newest;
        return Newest ?? Ended;
    }
}
