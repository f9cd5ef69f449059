using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>Finds the other parts of a dump. Calls may wait for a database.</summary>
public interface IPartFinder
{
    /// <param name="dump">The part that is here.</param>
    /// <param name="stopping">Gives it up, also while a part is read.</param>
    /// <exception cref="StorageException">Nobody can be asked now.</exception>
    FoundParts Find(Manifest dump, CancellationToken stopping);

    /// <summary>Of parts that are here, those whose bytes are in a whole dump by now, by their ids.</summary>
    /// <exception cref="StorageException">Nobody can be asked now.</exception>
    IReadOnlyDictionary<string, DumpWhole> FindWholes(IReadOnlyCollection<Manifest> parts, CancellationToken stopping);
}

/// <summary>The other parts of a dump.</summary>
/// <param name="Parts">Those that have ended and can be read.</param>
/// <param name="IsKnown">There are or will be others, as far as is known.</param>
/// <param name="Problem">Why others cannot be had yet, in words; null where nothing is known of others.</param>
public sealed record FoundParts(IReadOnlyList<IDumpPart> Parts, bool IsKnown, string? Problem) : IDisposable
{
    public void Dispose()
    {
        foreach (var part in Parts)
            (part as IDisposable)?.Dispose();
    }
}
