namespace NetdumpCollector.Storage;

/// <summary>Who besides its client may still need an ended dump.</summary>
/// <param name="ScriptPatience">How long after a dump's end its script may still be running when its manifest has no result of one; zero where no script runs.</param>
/// <param name="Store">Dumps are brought to an object store: one that is not there yet is the only copy.</param>
/// <param name="Parts">Nodes go on with each other's dumps: one that is not whole may have what another node lacks.</param>
public readonly record struct DumpNeeds(TimeSpan ScriptPatience, bool Store = false, bool Parts = false);
