using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Fleet;

/// <summary>Sees which ended dumps of the dump directory are new, changed or gone, and keeps what the catalogue has yet to be told of them. On a thread of its own, because the directory may hang.</summary>
public sealed class FleetActor(string root, string node, FleetState state, ILogger log) : Actor<FleetActor.Message>
{
    public abstract record Message;

    /// <summary>Opens the outbox and looks for the first time; the reply tells the node's instance and its directory's number, or null where the directory cannot be used.</summary>
    public sealed record Begin(Reply<(Guid Instance, Guid Directory)?> Begun) : Message;

    /// <summary>A dump may have changed: look soon.</summary>
    public sealed record Look : Message;

    /// <summary>Asks for changes that wait, those that wait longest first.</summary>
    public sealed record Take(int Count, Reply<IReadOnlyList<(long Number, OutboxEntry Entry)>> Taken) : Message;

    /// <summary>The catalogue has these changes, or will never take them.</summary>
    public sealed record Told(IReadOnlyList<long> Numbers) : Message;

    /// <summary>Asks in which dumps the directory differs from what the catalogue has of it.</summary>
    public sealed record Compare(IReadOnlyDictionary<string, (string? Path, string Digest)> Known, Reply<IReadOnlyList<string>> Different) : Message;

    /// <summary>Asks how dumps are now.</summary>
    public sealed record Describe(IReadOnlyList<string> DumpIds, IReadOnlyDictionary<string, (string? Path, string Digest)> Known, Reply<IReadOnlyList<OutboxEntry>> Entries) : Message;

    private sealed record Due : Message;

    /// <summary>Whoever changes a dump without telling the server (a command, another node) is found out after this time.</summary>
    private const long LookEveryUs = 5_000_000;

    /// <summary>Looks take at most this part of the time: each asks for the length and time of every manifest.</summary>
    private const int LeastRest = 20;

    private readonly ManifestScan _scan = new(root);
    private Outbox? _outbox;
    private IActorTimer? _timer;
    private long _restUntilUs;
    private string? _problem;

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Begin begin:
                begin.Begun.Send(TryBegin());
                break;
            case Look:
                Arm(Math.Max(Context.NowUs, _restUntilUs));
                break;
            case Due:
                LookNow(isFirst: false);
                break;
            case Take take:
                take.Taken.Send(_outbox?.Oldest(take.Count) ?? []);
                break;
            case Told told:
                _outbox?.Remove(told.Numbers);
                Publish();
                break;
            case Compare compare:
                LookNow(isFirst: false);
                compare.Different.Send(Differences(compare.Known));
                break;
            case Describe describe:
                describe.Entries.Send(EntriesOf(describe));
                break;
        }
    }

    protected override void PostStop(Exception? failure) => _outbox?.Dispose();

    private (Guid, Guid)? TryBegin()
    {
        try
        {
            var directory = DirectoryNumber.Of(root);
            if (_outbox is null)
            {
                _outbox = Outbox.Open(root, node);
                if (_outbox.Damage is string damage)
                    CollectorLog.OutboxDamaged(log, damage);
                LookNow(isFirst: true);
            }

            Tell(null);
            return (_outbox.Instance, directory);
        }
        catch (StorageException e)
        {
            Tell(e.Message);
            return null;
        }
    }

    private void LookNow(bool isFirst)
    {
        long startedUs = Context.NowUs;
        try
        {
            var seen = _scan.Look();
            // What was there before is compared with the catalogue when that can be asked.
            if (!isFirst)
            {
                foreach (var change in seen.Changes)
                {
                    if (_outbox?.Add(change) == false)
                        CollectorLog.OutboxFull(log, change.DumpId);
                }
            }

            Tell(seen.Problems.Count > 0 ? string.Join("; ", seen.Problems.Take(3)) : _outbox?.Problem);
        }
        catch (StorageException e)
        {
            Tell(e.Message);
        }

        Publish();
        _restUntilUs = Context.NowUs + (Context.NowUs - startedUs) * LeastRest;
        Arm(Math.Max(Context.NowUs + LookEveryUs, _restUntilUs));
    }

    private List<string> Differences(IReadOnlyDictionary<string, (string? Path, string Digest)> known)
    {
        var here = _scan.Digests();
        return [.. here.Where(dump => !known.TryGetValue(dump.Key, out var row) || row.Digest != dump.Value).Select(dump => dump.Key), .. known.Keys.Where(id => !here.ContainsKey(id))];
    }

    /// <summary>What is neither seen here nor lies where the catalogue has it is gone. Another node that shares the directory may have made it since the look.</summary>
    private List<OutboxEntry> EntriesOf(Describe describe)
    {
        var entries = new List<OutboxEntry>();
        foreach (string id in describe.DumpIds)
        {
            if (_scan.Describe(id) is { } dump)
                entries.Add(new(id, dump));
            else if (_scan.IsWhole && describe.Known.TryGetValue(id, out var row) && row.Path is string path && !File.Exists(Path.Join(root, path)))
                entries.Add(new(id, null));
        }

        return entries;
    }

    private void Arm(long atUs)
    {
        _timer ??= Context.CreateTimer(new Due());
        _timer.Arm(atUs);
    }

    private void Publish() => (state.OutboxLength, state.OutboxRefused) = (_outbox?.Count ?? 0, _outbox?.Refused ?? 0);

    /// <summary>Each trouble is told of once.</summary>
    private void Tell(string? problem)
    {
        if (problem is not null && problem != _problem)
            CollectorLog.OutboxFails(log, problem);
        _problem = problem;
    }
}
