namespace NetdumpCollector.Telemetry;

/// <summary>What the fleet's catalogue is looked at for when metrics are read.</summary>
public interface ICatalogueReadings
{
    /// <summary>It answers.</summary>
    bool IsUp { get; }

    /// <summary>Time since it last answered; null before it ever did.</summary>
    TimeSpan? Lag { get; }

    /// <summary>Changes of dumps that it has yet to be told of.</summary>
    long OutboxLength { get; }

    /// <summary>Changes that found no room in the outbox since the start.</summary>
    long OutboxRefused { get; }

    long Statements { get; }

    /// <summary>Exchanges that failed.</summary>
    long Failures { get; }

    /// <summary>Another live node has this node's name.</summary>
    bool IsNameTaken { get; }

    /// <summary>Nodes by state; every state is named.</summary>
    IEnumerable<(string State, long Count)> Nodes { get; }
}
