using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Http;

/// <summary>Threads for what a request does in a file system, which may hang: one for each of so many requests, so that none waits for another, or holds a thread that others need.</summary>
/// <param name="name">Of the threads, which are there from the first request on.</param>
/// <param name="places">Requests at one time.</param>
/// <param name="background">The threads run only when no other wants to.</param>
internal sealed class BlockingWork(string name, int places, bool background) : IDisposable
{
    private readonly Lazy<ThreadDispatcher> _threads = new(() => new(name, places, background));
    private int _taken;

    /// <summary>A place, to be disposed; null while all are taken.</summary>
    public Place? TryEnter()
    {
        if (Interlocked.Increment(ref _taken) <= places)
            return new(this);
        Interlocked.Decrement(ref _taken);
        return null;
    }

    public void Dispose()
    {
        if (_threads.IsValueCreated)
            _threads.Value.Dispose();
    }

    /// <summary>One request's. What it has begun and does not wait for any more keeps the place until it comes back.</summary>
    public sealed class Place(BlockingWork owner) : IDisposable
    {
        private Task _running = Task.CompletedTask;

        /// <summary>Has a thread do <paramref name="work"/>; what was begun before has come back.</summary>
        public Task<T> RunAsync<T>(Func<T> work)
        {
            var item = new Item<T>(work);
            _running = item.Result;
            owner._threads.Value.Execute(item);
            return item.Result;
        }

        public void Dispose() => _running.ContinueWith(static (_, state) => Interlocked.Decrement(ref ((BlockingWork)state!)._taken), owner,
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private sealed class Item<T>(Func<T> work) : ILoopWork
    {
        private readonly TaskCompletionSource<T> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Result => _result.Task;

        public void Run()
        {
            try
            {
                _result.SetResult(work());
            }
            catch (Exception e)
            {
                _result.SetException(e);
            }
        }
    }
}
