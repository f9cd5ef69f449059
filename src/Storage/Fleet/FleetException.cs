namespace NetdumpCollector.Storage.Fleet;

/// <summary>The catalogue cannot be used now; the message says why and has no secret in it.</summary>
public sealed class FleetException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The database refused what it was given, not this moment: the same again would be refused again.</summary>
    public bool IsRefusal { get; init; }

    /// <summary>Somebody has to do something before it can work: wrong password, missing database, foreign schema, wrong connection string.</summary>
    public bool NeedsOperator { get; init; }
}
