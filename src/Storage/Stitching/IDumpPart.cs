namespace NetdumpCollector.Storage.Stitching;

/// <summary>A part of a dump that has ended and lies elsewhere: at another node, or under other names here. Calls may take as long as a network does.</summary>
public interface IDumpPart
{
    /// <summary>What its own manifest says.</summary>
    Manifest Manifest { get; }

    /// <summary>The node that received it.</summary>
    string Node { get; }

    /// <summary>Reads its bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="StorageException">Not all of them can be had, now.</exception>
    void Read(ulong offset, Span<byte> bytes);

    /// <summary>Reads its key file.</summary>
    /// <exception cref="StorageException">It cannot be had, now.</exception>
    byte[] ReadKey();
}
