using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>Keeps all threads of a dispatcher busy, as a device does that does not answer.</summary>
internal sealed class HeldThreads : IDisposable
{
    private readonly ManualResetEventSlim _released = new();
    private readonly CountdownEvent _held;
    private readonly CountdownEvent _gone;

    /// <param name="dispatcher">Whose threads.</param>
    /// <param name="threads">How many it has at most.</param>
    public HeldThreads(IDispatcher dispatcher, int threads)
    {
        _held = new(threads);
        _gone = new(threads);
        for (int i = 0; i < threads; i++)
            dispatcher.Execute(new Hold(this));
        Assert.True(_held.Wait(Eventually.Deadline), "not all threads are held");
    }

    public void Release()
    {
        _released.Set();
        Assert.True(_gone.Wait(Eventually.Deadline), "not all threads are free again");
    }

    public void Dispose()
    {
        Release();
        _released.Dispose();
        _held.Dispose();
        _gone.Dispose();
    }

    private sealed class Hold(HeldThreads owner) : ILoopWork
    {
        public void Run()
        {
            owner._held.Signal();
            owner._released.Wait();
            owner._gone.Signal();
        }
    }
}
