using System.Text;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>Finds parts by the fleet's catalogue.</summary>
/// <param name="root">The dump directory.</param>
/// <param name="state">What is known of the fleet.</param>
/// <param name="reader">The catalogue; disposed of with this.</param>
/// <param name="tokenFile">File with the token that other nodes are shown; null for none.</param>
/// <param name="servesHttps">This node answers https: its token goes to no other one in the clear.</param>
public sealed class FleetParts(string root, FleetState state, FleetReader reader, string? tokenFile, bool servesHttps) : IPartFinder, IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, ConnectTimeout = TimeSpan.FromSeconds(10), AutomaticDecompression = System.Net.DecompressionMethods.None })
    {
        // Each wait has its own end; a part takes as long as it takes.
        Timeout = Timeout.InfiniteTimeSpan,
    };

    public FoundParts Find(Manifest dump, CancellationToken stopping)
    {
        string first = dump.Continues?.Id ?? dump.Id;
        var rows = Ask(() => reader.PartsAsync(first, stopping));
        var parts = new List<IDumpPart>();
        var problems = new List<string>();
        var snapshot = state.Snapshot;
        foreach (var session in snapshot.Sessions.Where(session => session.DumpId == first || session.Continues == first))
            problems.Add($"node {session.Node} {(snapshot.IsOrphaned(session) ? "has a part that has not ended, and is gone" : "receives a part, or waits for its kernel")}");
        foreach (var row in rows.Where(row => row.Id != dump.Id))
        {
            IDumpPart? part = null;
            try
            {
                part = PartOf(row, snapshot, stopping);
                if (part is null)
                    problems.Add(WhyNot(row));
                else
                {
                    // Which may have to be asked for.
                    _ = part.Manifest;
                    parts.Add(part);
                }
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // One part that cannot be had keeps none of the others away.
                problems.Add(e.Message);
                (part as IDisposable)?.Dispose();
            }
        }

        if (problems.Count == 0 && dump.Continues is { } continues && rows.All(row => row.Id != first))
            problems.Add($"no node has the part that began it ({first}, before on node {continues.Node})");
        return new(parts, parts.Count > 0 || problems.Count > 0, problems.Count == 0 ? null : string.Join("; ", problems));
    }

    public IReadOnlyDictionary<string, DumpWhole> FindWholes(IReadOnlyCollection<Manifest> parts, CancellationToken stopping) =>
        Ask(() => reader.WholesAsync([.. parts.Select(part => (part.Id, part.Continues?.Id ?? part.Id))], stopping));

    public void Dispose()
    {
        _http.Dispose();
        reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private T Ask<T>(Func<Task<T>> ask)
    {
        if (!state.Reach.IsUp)
            throw new StorageException($"the catalogue is not reached: {state.Reach.Problem}");
        try
        {
            return ask().GetAwaiter().GetResult();
        }
        catch (FleetException e)
        {
            throw new StorageException(e.Message, e);
        }
    }

    internal static string WhyNot(FleetDump row)
    {
        string node = row.Path is null ? $"node {row.Node} has the part {row.Id} no more" : $"node {row.Node}, which has the part {row.Id}, does not live now or does not say where its HTTP is reached (--http, --node-url)";
        return row.Url is string stored ? $"{node}; the object store has it: netdump-collector dumps fetch {stored} --output DIRECTORY, into a directory of its own below the dump directory of a live node" : node;
    }

    private IDumpPart? PartOf(FleetDump row, FleetSnapshot snapshot, CancellationToken stopping)
    {
        var manifest = ManifestFile.Parse($"of {row.Id} in the catalogue", Encoding.UTF8.GetBytes(row.Manifest!));
        if (row.Path is null)
            return null;
        if (row.Directory == state.Directory)
            return new FilePart(root, Path.Join(root, Path.GetDirectoryName(row.Path), $"dump.{manifest.Host}.{manifest.Index}.json"), row.Id, row.Node);
        if (snapshot.UrlOf(row) is not string url)
            return null;
        if (!IsNodeUrl(url))
            throw new StorageException($"node {row.Node}: is said to be reached at '{url}', which is not an http or https URL without user; see its --node-url");
        return new HttpPart(_http, url, IsShownTo(url, servesHttps) && tokenFile is not null ? NodeToken.Read(tokenFile) : null, manifest, row.Node, stopping);
    }

    /// <summary>Whoever may write to the catalogue names nodes there.</summary>
    internal static bool IsNodeUrl(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttp || url.Scheme == Uri.UriSchemeHttps) && url.UserInfo.Length == 0 && url.Query.Length == 0 && url.Fragment.Length == 0;

    /// <summary>The token may be sent there.</summary>
    internal static bool IsShownTo(string url, bool servesHttps) => !servesHttps || url.StartsWith("https:", StringComparison.OrdinalIgnoreCase);
}
