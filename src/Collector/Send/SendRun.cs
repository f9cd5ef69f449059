using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Send;

/// <summary>All clients of one <c>send</c> and the loops they run on.</summary>
internal sealed class SendRun : IDisposable
{
    /// <summary>More loops would only take processors from a server on the same machine.</summary>
    private const int MaxLoops = 2;

    private const int RefusalsThatTell = 3;

    /// <summary>A refusal takes one round trip.</summary>
    private const int RefusalWaitMs = 200;

    private static readonly TimeSpan s_progressInterval = TimeSpan.FromMilliseconds(100);

    private readonly SendOptions _options;
    private readonly TimeProvider _time;
    private readonly FileContent? _file;
    private readonly IEventLoop[] _loops;
    private readonly SendClient[] _clients;
    private readonly TaskCompletionSource _allEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _problem;
    private int _ended;

    /// <exception cref="IOException">The file to send cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file to send may not be read.</exception>
    public SendRun(SendOptions options, ITransport transport, TimeProvider time)
    {
        _options = options;
        _time = time;
        _file = options.File is string path ? new(path) : null;
        SizeBytes = _file?.SizeBytes ?? options.SyntheticBytes;
        int loops = Math.Min(Math.Min(MaxLoops, Environment.ProcessorCount), options.Clients);
        _loops = [.. Enumerable.Range(0, loops).Select(i => transport.CreateLoop($"send-{i}", OnLoopError))];
        _clients = SizeBytes == 0 ? [] : [.. Enumerable.Range(0, options.Clients).Select(CreateClient)];
    }

    /// <summary>Size of one client's dump; 0 for an empty file, which cannot be sent.</summary>
    public long SizeBytes { get; }

    /// <summary>Sends everything.</summary>
    /// <param name="onProgress">Gets acked bytes, ended clients and seconds, some times per second.</param>
    /// <param name="stop">Ends all clients where they are.</param>
    /// <exception cref="EndpointException">A source address or port cannot be had.</exception>
    public async Task<SendSummary> RunAsync(Action<long, int, double> onProgress, CancellationToken stop)
    {
        foreach (var loop in _loops)
            loop.Start();
        await OnEveryClient((client, number) => client.Open(_options.From == Ipv4.Any ? Ipv4.Any : new(_options.From.Value + (uint)number), _options.ClientPort));

        long startedAt = _time.GetTimestamp();
        await OnEveryClient((client, _) => client.Start());
        int refusals = 0;
        var answerDue = TimeSpan.FromMilliseconds(_options.RetransmitMs);
        while (!_allEnded.Task.IsCompleted)
        {
            await Task.WhenAny(_allEnded.Task, Task.Delay(s_progressInterval, _time, stop));
            var elapsed = _time.GetElapsedTime(startedAt);
            onProgress(_clients.Sum(client => client.AckedBytes), Volatile.Read(ref _ended), elapsed.TotalSeconds);
            if (stop.IsCancellationRequested)
                await Abandon("interrupted");
            else if (elapsed > answerDue)
            {
                // A kernel cannot tell a port that refuses from a slow one; a person at a terminal wants to know. An address that moves from one node to another refuses for a moment.
                bool refuses = !_clients.Any(client => client.HasAck) && Refuses();
                if (refuses && ++refusals == RefusalsThatTell)
                    await Abandon($"{_options.Server}:{_options.Port} refuses packets: no collector listens there");
                answerDue = refuses && refusals < RefusalsThatTell ? elapsed + TimeSpan.FromMilliseconds(_options.RetransmitMs) : TimeSpan.MaxValue;
            }
        }

        return Summarize(_time.GetElapsedTime(startedAt).TotalSeconds);
    }

    public void Dispose()
    {
        foreach (var loop in _loops)
            loop.Dispose();
        _file?.Dispose();
    }

    private SendClient CreateClient(int number)
    {
        ContentSource content = _file is null ? new MinidumpContent(SizeBytes, (uint)number, _options.HostOf(number), _options.Panic).Fill : _file.Fill;
        return new(_loops[number % _loops.Length], _options, _options.KernelOptionsOf(number, SizeBytes, _time.GetUtcNow()), content,
            new Random(unchecked(_options.Seed * 1_000_003 + number)), OnClientEnded);
    }

    private void OnClientEnded()
    {
        if (Interlocked.Increment(ref _ended) == _clients.Length)
            _allEnded.TrySetResult();
    }

    /// <summary>What a client throws beside the expected is a defect; the run ends with it instead of hanging.</summary>
    private void OnLoopError(Exception exception) => _allEnded.TrySetException(exception);

    private async Task Abandon(string problem)
    {
        _problem = problem;
        await OnEveryClient((client, _) => client.Stop());
        await _allEnded.Task;
    }

    /// <summary>Runs <paramref name="action"/> for each client on its loop.</summary>
    private Task OnEveryClient(Action<SendClient, int> action)
    {
        var work = _loops.Select((_, i) => new LoopTask(() =>
        {
            for (int number = i; number < _clients.Length; number += _loops.Length)
                action(_clients[number], number);
        })).ToArray();
        for (int i = 0; i < work.Length; i++)
            _loops[i].Post(work[i]);
        return Task.WhenAll(work.Select(task => task.Completion));
    }

    /// <summary>Whether the system answers an empty datagram to the server by "port unreachable".</summary>
    private bool Refuses()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            probe.Connect(new IPEndPoint(_options.Server.ToIPAddress(), _options.Port));
            probe.ReceiveTimeout = RefusalWaitMs;
            probe.Send(ReadOnlySpan<byte>.Empty);
            probe.Receive(new byte[WellKnown.AckBytes]);
            return false;
        }
        catch (SocketException exception)
        {
            return exception.SocketErrorCode == SocketError.ConnectionRefused;
        }
    }

    private SendSummary Summarize(double seconds)
    {
        var failed = _clients.Where(client => client.State != ClientState.Done).ToArray();
        long bytes = _clients.Sum(client => client.AckedBytes);
        return new()
        {
            Server = $"{_options.Server}:{_options.Port}",
            Clients = _clients.Length,
            Done = _clients.Length - failed.Length,
            Failed = failed.Length,
            Failures = [.. failed.GroupBy(client => (client.EndedIn, Reason: ReasonOf(client))).OrderBy(group => group.Key.EndedIn)
                .Select(group => new SendFailure(NameOf(group.Key.EndedIn), group.Count(), group.Key.Reason))],
            Bytes = bytes,
            Seconds = seconds,
            MegabytesPerSecond = seconds > 0 ? bytes / seconds / 1e6 : 0,
            Packets = _clients.Sum(client => client.Counters.Packets),
            RetransmittedPackets = _clients.Sum(client => client.Counters.RetransmittedPackets),
            RetransmitRounds = _clients.Sum(client => client.Counters.RetransmitRounds),
            WorstBurstRounds = _clients.Max(client => client.Counters.WorstBurstRounds),
            Acks = _clients.Sum(client => client.Counters.Acks),
            HeraldSeconds = _clients.Max(client => client.Counters.HeraldUs) / 1e6,
            LongestBurstSeconds = _clients.Max(client => client.Counters.LongestBurstUs) / 1e6,
            FinishedSeconds = _clients.Max(client => client.Counters.FinishedUs) / 1e6,
        };
    }

    private string ReasonOf(SendClient client) => client switch
    {
        { Problem: string problem } => problem,
        { State: ClientState.Dead } => _problem ?? "ended",
        { EndedIn: ClientState.Herald } => "no answer to the herald; no collector listens there, or packets do not get through (firewall, route)",
        { EndedIn: ClientState.Finished } => "the end was not confirmed: the collector misses bytes and kept the dump as incomplete, or it is gone",
        _ => "acks stopped coming",
    };

    private static string NameOf(ClientState state) => state.ToString().ToLowerInvariant();

    /// <summary>Work on a loop that somebody waits for.</summary>
    private sealed class LoopTask(Action action) : ILoopWork
    {
        private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Completion => _completion.Task;

        public void Run()
        {
            try
            {
                action();
                _completion.SetResult();
            }
            catch (Exception exception)
            {
                _completion.SetException(exception);
            }
        }
    }
}
