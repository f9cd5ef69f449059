using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>A started loop and what its error handler was given.</summary>
internal sealed class RunningLoop : IDisposable
{
    /// <summary>How long a test waits for what must happen; only a failing test waits that long.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    public RunningLoop(string transport)
    {
        Assert.True(Transports.TryGet(transport, out ITransport? found));
        Loop = found.CreateLoop("test", Errors.Enqueue);
        Loop.Start();
    }

    public IEventLoop Loop { get; }

    public ConcurrentQueue<Exception> Errors { get; } = [];

    public IUdpEndpoint Open(Ipv4 address, IDatagramReceiver receiver, ushort port = 0, bool manySources = false, int receiveBufferBytes = 4 << 20) =>
        Open(new() { Address = address, Port = port, ReceiveBufferBytes = receiveBufferBytes, ManySources = manySources }, receiver);

    public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver) => Run(() => Loop.Open(options, receiver));

    /// <summary>Runs <paramref name="work"/> on the loop and waits for it.</summary>
    public T Run<T>(Func<T> work)
    {
        T result = default!;
        Run(() => { result = work(); });
        return result;
    }

    public void Run(Action work)
    {
        using ManualResetEventSlim done = new();
        ExceptionDispatchInfo? failure = null;
        Loop.Post(new Work(() =>
        {
            try
            {
                work();
            }
            catch (Exception thrown)
            {
                failure = ExceptionDispatchInfo.Capture(thrown);
            }
            done.Set();
        }));
        Await(done);
        failure?.Throw();
    }

    /// <summary>Keeps the loop from polling while <paramref name="meanwhile"/> runs, then waits until it has polled again.</summary>
    public void Hold(Action meanwhile)
    {
        using ManualResetEventSlim held = new(), release = new(), polled = new();
        Loop.Post(new Work(() =>
        {
            held.Set();
            release.Wait();
        }));
        Await(held);
        try
        {
            meanwhile();
            // Posted by now, it runs in the next round, after that round's sockets.
            Loop.Post(new Work(polled.Set));
        }
        finally
        {
            release.Set();
        }
        Await(polled);
    }

    public void Dispose() => Loop.Dispose();

    private static void Await(ManualResetEventSlim done) => Assert.True(done.Wait(Deadline), "the loop did not run the work");

    private sealed class Work(Action run) : ILoopWork
    {
        public void Run() => run();
    }
}
