using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Actors.Tests.Ingress;

public sealed class HalfOpenSessionsTests
{
    private readonly HalfOpenSessions _sessions = new();

    [Fact]
    public void The_oldest_that_is_still_half_open_goes_first()
    {
        var (withData, gone, third, fourth) = (Add(), Add(), Add(), Add());
        EndByData(withData);
        gone.HasStopped = true;
        _sessions.Remove();

        Assert.Equal(2, _sessions.Count);
        Assert.Same(third, _sessions.TakeOldest());
        Assert.Same(fourth, _sessions.TakeOldest());
        Assert.Null(_sessions.TakeOldest());
    }

    [Fact]
    public void One_that_stays_does_not_keep_those_that_came_after_it()
    {
        var stays = Add();
        for (int i = 0; i < 10_000; i++)
        {
            EndByData(Add());
            Assert.InRange(_sessions.Remembered, 1, 100);
        }

        Assert.Same(stays, _sessions.TakeOldest());
    }

    private SessionRoute Add()
    {
        var session = new SessionRoute();
        _sessions.Add(session);
        return session;
    }

    private void EndByData(SessionRoute session)
    {
        session.HasData = true;
        _sessions.Remove();
    }
}
