using System.Net;
using System.Net.Http.Headers;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>A part that another node serves over HTTP.</summary>
/// <param name="http">Asks; follows no redirections.</param>
/// <param name="url">Where the node is reached.</param>
/// <param name="token">Shown to it, or null.</param>
/// <param name="known">Its manifest as the catalogue has it.</param>
/// <param name="node">The node.</param>
/// <param name="stopping">Gives it up.</param>
internal sealed class HttpPart(HttpClient http, string url, string? token, Manifest known, string node, CancellationToken stopping) : IDumpPart, IDisposable
{
    /// <summary>A node from which nothing comes for so long is not there.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    /// <summary>So long all of a piece, or of a small file, may take.</summary>
    internal TimeSpan PieceDeadline { get; init; } = TimeSpan.FromSeconds(60);

    private const int MaxKeyBytes = 1 << 20;

    private HttpResponseMessage? _response;
    private Stream? _content;
    private ulong _position;
    private Manifest? _manifest;

    /// <summary>The catalogue has not all ranges of long lists.</summary>
    public Manifest Manifest => _manifest ??= new[] { known.Missing, known.Damaged, known.Overwritten }.Any(ranges => ranges.Count >= ManifestScan.MaxRanges) || known.MissingRanges > known.Missing.Count ? ReadManifest() : known;

    public string Node => node;

    public void Read(ulong offset, Span<byte> bytes)
    {
        using var piece = BeginPiece();
        try
        {
            // Pieces mostly follow each other: one request serves many.
            if (_content is null || _position != offset)
                Open(offset, piece.Token);
            byte[] buffer = new byte[Math.Min(bytes.Length, 256 << 10)];
            while (!bytes.IsEmpty)
            {
                int wanted = Math.Min(buffer.Length, bytes.Length);
                int read = Wait(cancellation => _content!.ReadAsync(buffer.AsMemory(0, wanted), cancellation).AsTask(), piece.Token);
                if (read == 0)
                    throw new StorageException($"node {node}: the dump {known.Id} ends after {_position} bytes");
                buffer.AsSpan(0, read).CopyTo(bytes);
                bytes = bytes[read..];
                _position += (ulong)read;
            }
        }
        catch
        {
            Close();
            throw;
        }
    }

    public byte[] ReadKey() => ReadSmall("/key", MaxKeyBytes);

    public void Dispose() => Close();

    private Manifest ReadManifest()
    {
        var manifest = ManifestFile.Parse($"{url} {known.Id}", ReadSmall("", (int)ManifestFile.MaxBytes));
        return manifest.Id == known.Id ? manifest : throw new StorageException($"node {node}: {url} answers with the dump {manifest.Id} where {known.Id} was asked for");
    }

    private byte[] ReadSmall(string file, int most)
    {
        using var piece = BeginPiece();
        using var response = Ask(file, null, piece.Token);
        if (response.StatusCode != HttpStatusCode.OK)
            throw Refused(response);
        using var content = Wait(response.Content.ReadAsStreamAsync, piece.Token);
        using var whole = new MemoryStream();
        byte[] buffer = new byte[64 << 10];
        // An answer may be longer than it says, or not say.
        while (Wait(cancellation => content.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, most + 1 - whole.Length)), cancellation).AsTask(), piece.Token) is > 0 and var read)
        {
            whole.Write(buffer, 0, read);
            if (whole.Length > most)
                throw new StorageException($"node {node}: {url} answers with more than {most} bytes");
        }

        return whole.ToArray();
    }

    private void Open(ulong offset, CancellationToken piece)
    {
        Close();
        _response = Ask("/vmcore", new RangeHeaderValue((long)offset, null), piece);
        // An answer about another file than the manifest's would be stored as the dump.
        if (_response.StatusCode != HttpStatusCode.PartialContent || _response.Content.Headers.ContentRange is not { } range || range.From != (long)offset || range.Length != (long)Manifest.Bytes)
            throw Refused(_response);
        _content = Wait(_response.Content.ReadAsStreamAsync, piece);
        _position = offset;
    }

    private CancellationTokenSource BeginPiece()
    {
        var piece = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        piece.CancelAfter(PieceDeadline);
        return piece;
    }

    private HttpResponseMessage Ask(string file, RangeHeaderValue? range, CancellationToken piece)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{url}/api/v1/dumps/{Uri.EscapeDataString(known.Id)}{file}");
        request.Headers.Range = range;
        if (token is not null)
            request.Headers.Authorization = new("Bearer", token);
        return Wait(cancellation => http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation), piece);
    }

    private T Wait<T>(Func<CancellationToken, Task<T>> ask, CancellationToken piece)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(piece);
        late.CancelAfter(s_patience);
        try
        {
            return ask(late.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException e) when (!stopping.IsCancellationRequested)
        {
            throw new StorageException(piece.IsCancellationRequested ? $"node {node}: {url} is too slow: a piece takes longer than {PieceDeadline.TotalSeconds} s"
                : $"node {node}: no answer from {url} within {s_patience.TotalSeconds} s", e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            string advice = e is HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } ? "; this machine has to trust who signed that node's certificate (update-ca-certificates, or SSL_CERT_FILE)" : "";
            throw new StorageException($"node {node}: {url}: {e.Message}{(e.InnerException is { } inner ? $" {inner.Message}" : "")}{advice}", e);
        }
    }

    private StorageException Refused(HttpResponseMessage response) => new((int)response.StatusCode switch
    {
        401 when token is null => $"node {node}: {url} refuses to give its part (401) without a token; name a file with one by --node-token-file (a node that serves https shows it only to https)",
        401 or 403 => $"node {node}: {url} refuses to give its part ({(int)response.StatusCode}); name a file with a token that its --token-file knows, with the role download (admin for the key of an encrypted dump), by --node-token-file",
        206 => $"node {node}: {url} answers with another file than the catalogue tells of",
        _ => $"node {node}: {url} answers {(int)response.StatusCode}",
    });

    private void Close()
    {
        _response?.Dispose();
        (_response, _content) = (null, null);
    }
}
