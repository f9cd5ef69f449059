using BenchmarkDotNet.Attributes;
using NetdumpCollector.Actors.Runtime;

namespace NetdumpCollector.Micro;

/// <summary>A message through a mailbox, without contention.</summary>
public class MailboxTurns
{
    private const int Messages = 64;

    private readonly Mailbox<object> _mailbox = new(capacity: 256);
    private readonly object _message = new();

    [Benchmark]
    public bool EnqueueAndDequeue() => _mailbox.TryEnqueue(_message) > 0 && _mailbox.TryDequeue(out _);

    /// <summary>As many as an actor handles in one turn, per message.</summary>
    [Benchmark(OperationsPerInvoke = Messages)]
    public int FillAndDrain()
    {
        for (int i = 0; i < Messages; i++)
            _mailbox.TryEnqueue(_message);

        int taken = 0;
        while (_mailbox.TryDequeue(out _))
            taken++;
        return taken;
    }
}
