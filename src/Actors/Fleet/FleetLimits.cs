namespace NetdumpCollector.Actors.Fleet;

/// <summary>How many dumps may run at one time on all nodes, and how many others run as far as is known. Read by event loops: nothing waits.</summary>
/// <param name="maxSessions">On all nodes together; null for no limit.</param>
public sealed class FleetLimits(int? maxSessions)
{
    private const int Unknown = -1;

    private int _elsewhere = Unknown;

    /// <summary>Dumps that other nodes said a moment ago they receive; null while the catalogue cannot be asked: then nothing is refused for it.</summary>
    public int? Elsewhere
    {
        get => Volatile.Read(ref _elsewhere) is not Unknown and var known ? known : null;
        set => Volatile.Write(ref _elsewhere, value ?? Unknown);
    }

    /// <summary>Whether so many dumps here are not too many for the fleet.</summary>
    public bool Allow(int here) => maxSessions is not int most || Volatile.Read(ref _elsewhere) is not (>= 0 and var elsewhere) || (long)here + elsewhere <= most;
}
