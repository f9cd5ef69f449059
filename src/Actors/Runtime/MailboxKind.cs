using System.Text.Json;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>What the mailboxes of all actors of one kind come to; told by many threads.</summary>
/// <param name="message">What they take, which is declared in their class.</param>
internal sealed class MailboxKind(Type message)
{
    private string? _actor;
    private long _refused;
    private int _peak;

    /// <summary>Name of the actors' class in small letters, words apart, without "Actor". Made when it is first read, which no start of the server waits for.</summary>
    public string Actor => _actor ??= NameOf(message);

    /// <summary>Most messages that waited for one actor.</summary>
    public int Peak => Volatile.Read(ref _peak);

    /// <summary>Messages that found a mailbox full.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>So many messages wait for one actor now.</summary>
    public void OnLength(int length)
    {
        int peak = Volatile.Read(ref _peak);
        while (length > peak)
        {
            int seen = Interlocked.CompareExchange(ref _peak, length, peak);
            if (seen == peak)
                return;
            peak = seen;
        }
    }

    public void OnRefused() => Interlocked.Increment(ref _refused);

    private static string NameOf(Type message)
    {
        string name = (message.DeclaringType ?? message).Name;
        return JsonNamingPolicy.SnakeCaseLower.ConvertName(name.EndsWith("Actor", StringComparison.Ordinal) ? name[..^"Actor".Length] : name);
    }
}

/// <summary>The mailboxes of all actors of one kind.</summary>
/// <param name="Actor">Which kind.</param>
/// <param name="Actors">How many live.</param>
/// <param name="Waiting">Messages that wait for them.</param>
/// <param name="Peak">Most messages that waited for one of them since the start.</param>
/// <param name="Refused">Messages that found a mailbox full.</param>
public readonly record struct MailboxReading(string Actor, long Actors, long Waiting, long Peak, long Refused);
