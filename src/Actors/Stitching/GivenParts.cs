using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>The incomplete dumps here that another node may make whole. Once one has, the part says where, so that lists do and retention keeps it no longer.</summary>
internal sealed class GivenParts(StitchSetup setup)
{
    /// <summary>Paths of their manifests, by id.</summary>
    private readonly Dictionary<string, string> _paths = [];
    private long _dueUs;
    private long _restUs;
    private string? _problem;

    /// <summary>When it is asked for wholes next.</summary>
    public long DueUs => _paths.Count == 0 ? long.MaxValue : _dueUs;

    /// <summary>Takes a dump that may be one.</summary>
    public void Add(CatalogedDump dump, long nowUs)
    {
        if (IsGiven(dump.Manifest) && _paths.TryAdd(dump.Manifest.Id, dump.ManifestPath))
            (_restUs, _dueUs) = (StitchActor.FirstRestUs, nowUs + StitchActor.FirstRestUs);
    }

    /// <summary>Asks which of them are whole by now, and notes it.</summary>
    public void NoteWholes(Func<IPartFinder> finder, long nowUs, CancellationToken stopping)
    {
        _restUs = Math.Min(2 * _restUs, StitchActor.MostRestUs);
        _dueUs = nowUs + _restUs;
        try
        {
            var parts = Read();
            if (parts.Count == 0)
                return;
            var wholes = finder().FindWholes([.. parts.Select(part => part.Manifest)], stopping);
            foreach (var part in parts.Where(part => wholes.ContainsKey(part.Manifest.Id)))
                Note(part, wholes[part.Manifest.Id]);
            _problem = null;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The next start asks.
        }
        catch (Exception e)
        {
            // It is asked again.
            if (e.Message != _problem)
                CollectorLog.PartsNotAskedFor(setup.Logger, e.Message);
            _problem = e.Message;
        }
    }

    private bool IsGiven(Manifest manifest) => DumpStitching.IsNeeded(manifest, hasParts: true, setup.Time.GetUtcNow());

    private List<CatalogedDump> Read()
    {
        var parts = new List<CatalogedDump>();
        foreach (var (id, path) in _paths.ToArray())
        {
            if (StitchActor.TryRead(path) is { } manifest && IsGiven(manifest))
                parts.Add(new(path, manifest));
            else
                _ = _paths.Remove(id);
        }

        return parts;
    }

    private void Note(CatalogedDump part, DumpWhole whole)
    {
        // What becomes whole here, or is by now, is no part of another.
        var noted = ManifestFile.Update(part.ManifestPath, m => m is { Status: DumpStatus.Incomplete, Stitching: false } ? m with { Within = whole } : m);
        if (noted.Within is null)
            return;
        _ = _paths.Remove(noted.Id);
        CollectorLog.PartIsWithin(setup.Logger, Path.GetRelativePath(setup.Root, part.VmcorePath), noted.Id, whole.Id, whole.Node);
    }
}
