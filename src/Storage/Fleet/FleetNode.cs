namespace NetdumpCollector.Storage.Fleet;

/// <summary>What is known of a node.</summary>
public enum FleetNodeState
{
    Live,

    /// <summary>It has not been heard of for four seconds, by the database's clock.</summary>
    Dead,

    /// <summary>It was stopped and said so.</summary>
    Left,
}

/// <summary>What a node says of itself.</summary>
/// <param name="Name">Its name, which no other live node has.</param>
/// <param name="Instance">Tells it from another node that was given the same name.</param>
/// <param name="Directory">Its dump directory's number; nodes that share one have the same.</param>
/// <param name="Address">Address that heralds come to; 0.0.0.0 for all of the machine.</param>
/// <param name="Port">UDP port that they come to.</param>
/// <param name="Url">Where it answers HTTP for others, null where it does not.</param>
/// <param name="Version">Of the program.</param>
/// <param name="StartedAt">When its process started.</param>
public sealed record NodeIdentity(string Name, Guid Instance, Guid Directory, string Address, int Port, string? Url, string Version, DateTimeOffset StartedAt);

/// <summary>A node of the fleet as the catalogue has it.</summary>
/// <param name="Identity">What it says of itself.</param>
/// <param name="State">Whether it lives.</param>
/// <param name="Silence">How long ago it was heard of, by the database's clock.</param>
/// <param name="Dumps">Dumps that arrive there, as it said last.</param>
public sealed record FleetNode(NodeIdentity Identity, FleetNodeState State, TimeSpan Silence, int Dumps);
