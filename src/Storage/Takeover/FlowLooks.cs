using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>Looks at what the nodes of a shared directory have, for packets of flows that this node does not know. In a storm those come by the ten thousand, so each look serves all who asked before it began, and there are only so many looks a second.</summary>
/// <remarks>Thread-safe. Looks are numbered from 1 on; whoever asks takes the number of the next one along, and later waits for that one or finds it done.</remarks>
/// <param name="running">The list of running dumps.</param>
/// <param name="interval">From the beginning of a look to that of the next.</param>
internal sealed class FlowLooks(Func<RunningDumps> running, TimeSpan interval)
{
    private readonly Lock _looking = new();

    /// <summary>The port that a dump's packets come from, by its entry's name; it never changes.</summary>
    private readonly Dictionary<string, ushort> _ports = new(StringComparer.Ordinal);

    private long _begun;
    private long _beganAt;
    private volatile Look? _last;

    /// <summary>The number of the next look: that one, and each after it, sees what is there now.</summary>
    public long Next => Volatile.Read(ref _begun) + 1;

    /// <summary>The look of that number or a later one. Blocks where there has been none yet.</summary>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public Look Get(long number)
    {
        var look = _last;
        // In a storm somebody is always at the next look, which takes at least the interval: who needs only the last one must not wait for that.
        if (look is null || look.Number < number)
        {
            lock (_looking)
            {
                look = _last;
                if (look is null || look.Number < number)
                    _last = look = Begin();
            }
        }

        return look.Problem is string problem ? throw new StorageException(problem) : look;
    }

    /// <summary>The dump of that entry may be the flow's.</summary>
    public bool MayBe(string key, ushort remotePort)
    {
        lock (_ports)
            return !_ports.TryGetValue(key, out ushort known) || known == remotePort;
    }

    /// <summary>The entry's dump tells where its packets come from.</summary>
    public void Learn(string key, ushort remotePort)
    {
        lock (_ports)
            _ports[key] = remotePort;
    }

    private Look Begin()
    {
        if (_last is not null && interval - TimeProvider.System.GetElapsedTime(_beganAt) is { Ticks: > 0 } left)
            Thread.Sleep(left);
        _beganAt = TimeProvider.System.GetTimestamp();
        long number = Interlocked.Increment(ref _begun);
        try
        {
            var list = running();
            _ = list.Touch();
            var look = new Look(number, list, list.Keys());
            lock (_ports)
            {
                foreach (string key in _ports.Keys)
                {
                    if (!look.Has(key))
                        _ports.Remove(key);
                }
            }

            return look;
        }
        catch (StorageException e)
        {
            // Told to all who wait: a directory that does not answer must not be asked for each of them.
            return new(number, e.Message);
        }
    }

    /// <summary>What one look saw.</summary>
    internal sealed class Look
    {
        private readonly RunningDumps? _list;
        private readonly HashSet<string> _keys;
        private readonly ILookup<string, string> _byClient;
        private readonly Dictionary<ushort, ILookup<(Ipv4 Client, ushort RemotePort), HeraldRecord>> _heralds = [];

        public Look(long number, RunningDumps? list, IReadOnlyList<string> keys)
        {
            Number = number;
            _list = list;
            _keys = new(keys, StringComparer.Ordinal);
            _byClient = keys.ToLookup(RunningDumps.ClientOf, StringComparer.Ordinal);
        }

        public Look(long number, string problem) : this(number, list: null, []) => Problem = problem;

        public long Number { get; }

        /// <summary>Why nothing was seen, in words, or null.</summary>
        public string? Problem { get; }

        public bool Has(string key) => _keys.Contains(key);

        /// <summary>The client's running dumps, the newest first.</summary>
        public IEnumerable<RunningEntry> EntriesOf(Ipv4 client) =>
            _byClient[client.ToString()].Select(_list!.EntryOf).OfType<RunningEntry>().OrderByDescending(entry => entry.Id, StringComparer.Ordinal);

        /// <summary>The newest herald of a flow that some node has answered, or null.</summary>
        /// <exception cref="StorageException">The nodes' files cannot be looked for.</exception>
        public HeraldRecord? HeraldOf(ushort heraldPort, Ipv4 client, ushort remotePort)
        {
            ILookup<(Ipv4, ushort), HeraldRecord>? heralds;
            lock (_heralds)
            {
                if (!_heralds.TryGetValue(heraldPort, out heralds))
                    _heralds[heraldPort] = heralds = HeraldLedger.ReadAll(_list!, heraldPort).ToLookup(herald => (herald.Client, herald.Endpoint.RemotePort));
            }

            return heralds[(client, remotePort)].MaxBy(herald => herald.At);
        }
    }
}
