namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    /// <summary>Gives a sign of life to the other nodes, and goes on for those that give none: what is to follow their committed dumps (<see cref="Manifest.ScriptPending"/>, <see cref="Manifest.HashState"/>) is this node's from now on. Blocks; for now and then.</summary>
    /// <remarks>Being wrong about a node does no harm but that a script runs twice, which it may at a restart as well. Of several nodes that do this at once one gets each dump where locks of directories hold between them, which NFS does not have (<see cref="ManifestFile.Update"/>).</remarks>
    /// <param name="silence">A node whose last sign is older, by the file system's clock, is gone.</param>
    /// <param name="onProblem">Told, in words, of what cannot be dealt with; it is tried again the next time.</param>
    /// <returns>The dumps that another node's were.</returns>
    public IReadOnlyList<CommittedDump> AdoptFollowUps(TimeSpan silence, Action<string> onProblem)
    {
        var adopted = new List<CommittedDump>();
        if (Sharing is null)
            return adopted;

        try
        {
            var running = Running();
            running.NoteLife(Sharing.FileName);
            var gone = running.GoneNodes(running.Touch() - silence).ToHashSet(StringComparer.Ordinal);
            // It has just given one, unless it cannot.
            gone.Remove(Sharing.FileName);
            if (gone.Count == 0)
                return adopted;

            bool isAll = true;
            foreach (var dump in DumpCatalog.Read(Root).Dumps.Where(dump => IsLeftBy(gone, dump.Manifest)))
                isAll &= TryAdopt(dump, gone, adopted, onProblem);
            // Not before: another node does it where this one dies now.
            foreach (string node in isAll ? gone : [])
                running.ForgetNode(node);
        }
        catch (StorageException e)
        {
            onProblem(e.Message);
        }

        return adopted;
    }

    private static bool IsLeftBy(HashSet<string> gone, Manifest manifest) =>
        manifest.Node is { } node && gone.Contains(node) && (manifest.ScriptPending || manifest.HashState == HashState.Pending);

    private bool TryAdopt(CatalogedDump dump, HashSet<string> gone, List<CommittedDump> adopted, Action<string> onProblem)
    {
        try
        {
            bool isLeft = false;
            var manifest = ManifestFile.Update(dump.ManifestPath, found => (isLeft = IsLeftBy(gone, found)) ? found with { Node = Sharing!.FileName } : found);
            if (isLeft)
                adopted.Add((dump with { Manifest = manifest }).CommittedIn(Root));
            return true;
        }
        catch (StorageException e)
        {
            onProblem(e.Message);
            return false;
        }
    }
}
