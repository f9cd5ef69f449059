using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Http;

/// <summary>Which dumps of all are asked for, in which order, and which part of them.</summary>
internal sealed partial record DumpQuery
{
    public const int MaxLimit = 1000;

    private const int DefaultLimit = 100;

    /// <summary>Pages further behind have only this node's dumps.</summary>
    private const int MaxFleetOffset = 100_000;

    private static readonly Dictionary<string, Func<DumpList.Row, IComparable?>> s_orders = new()
    {
        ["startedAt"] = row => row.StartedAt,
        ["bytes"] = row => row.Bytes,
        ["host"] = row => row.Host,
        ["status"] = row => row.Status,
    };

    public string? Status { get; private init; }
    public string? Host { get; private init; }
    public string? Client { get; private init; }

    /// <summary>A part of the panic message, whatever its case.</summary>
    public string? Panic { get; private init; }
    public DateTimeOffset? Since { get; private init; }
    public DateTimeOffset? Until { get; private init; }

    /// <summary>Name of a field, behind a minus for the greatest first.</summary>
    public string Sort { get; private init; } = "-startedAt";
    public int Offset { get; private init; }
    public int Limit { get; private init; } = DefaultLimit;

    /// <summary>Reads the parameters of a request; false, and what is wrong, where one is unknown or not allowed.</summary>
    public static bool TryParse(IQueryCollection parameters, out DumpQuery query, [NotNullWhen(false)] out string? problem)
    {
        query = new();
        foreach (var (name, values) in parameters)
        {
            // Given twice it is no single value.
            if (values.Count != 1 || query.With(name, values[0]!) is not { } next)
            {
                problem = $"{name}={values}: allowed are, each once, status ({string.Join(", ", DumpList.Statuses)}), host, client, panic, since and until (times such as 2026-11-21T03:00:00Z), sort ({string.Join(", ", s_orders.Keys)}, each also with - in front), offset, limit (1 to {MaxLimit})";
                return false;
            }

            query = next;
        }

        problem = null;
        return true;
    }

    /// <summary>The same question to the fleet's catalogue: all that can be on this page.</summary>
    public FleetDumpQuery OfFleet => new()
    {
        Status = Status,
        Host = Host,
        Client = Client,
        Panic = Panic,
        Since = Since,
        Until = Until,
        Order = Sort.TrimStart('-'),
        IsDescending = Sort.StartsWith('-'),
        Limit = Math.Min(Offset, MaxFleetOffset) + Limit,
    };

    /// <summary>The rows that match, sorted, and how many there are on all pages.</summary>
    public (IReadOnlyList<DumpList.Row> Page, int Total) Apply(IEnumerable<DumpList.Row> rows)
    {
        bool isDescending = Sort.StartsWith('-');
        var order = s_orders[Sort.TrimStart('-')];
        var matching = rows.Where(Matches);
        var sorted = isDescending ? matching.OrderByDescending(order, Comparer<IComparable?>.Default) : matching.OrderBy(order, Comparer<IComparable?>.Default);
        DumpList.Row[] all = [.. sorted.ThenBy(row => row.Id, StringComparer.Ordinal)];
        return ([.. all.Skip(Offset).Take(Limit)], all.Length);
    }

    private DumpQuery? With(string name, string value) => name switch
    {
        "status" when DumpList.Statuses.Contains(value) => this with { Status = value },
        "host" => this with { Host = value },
        "client" => this with { Client = value },
        "panic" => this with { Panic = value },
        "since" when TryTime(value, out var since) => this with { Since = since },
        "until" when TryTime(value, out var until) => this with { Until = until },
        "sort" when s_orders.ContainsKey(value.StartsWith('-') ? value[1..] : value) => this with { Sort = value },
        "offset" when TryNumber(value, 0, int.MaxValue, out int offset) => this with { Offset = offset },
        "limit" when TryNumber(value, 1, MaxLimit, out int limit) => this with { Limit = limit },
        _ => null,
    };

    private bool Matches(DumpList.Row row) =>
        (Status is null || row.Status == Status)
        && (Host is null || row.Host == Host)
        && (Client is null || row.Client == Client)
        && (Panic is null || (row.Panic?.Contains(Panic, StringComparison.OrdinalIgnoreCase) ?? false))
        && (Since is null || row.StartedAt >= Since.Value.UtcDateTime)
        && (Until is null || row.StartedAt < Until.Value.UtcDateTime);

    /// <remarks>Source: RFC 3339, section 5.6.</remarks>
    private static bool TryTime(string text, out DateTimeOffset time)
    {
        time = default;
        return Rfc3339().IsMatch(text) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out time);
    }

    private static bool TryNumber(string text, int least, int most, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number >= least && number <= most;

    [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,7})?([Zz]|[+-][0-9]{2}:[0-9]{2})\z")]
    private static partial Regex Rfc3339();
}
