using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>The tokens of the token file as it is now. Thread-safe.</summary>
/// <remarks>
/// The file is looked at when somebody asks, at most once a second; one that cannot be used leaves the tokens as they were, at the start none: dumps are received all the same, and whatever takes a token is denied until the
/// file is right.
/// </remarks>
internal sealed class AccessTokens
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private volatile IReadOnlyList<AccessToken> _tokens = [];
    private byte[]? _content;
    private string? _problem;
    private long _lookedAt;

    private AccessTokens(string path, TimeProvider time, ILogger log)
    {
        _path = path;
        _time = time;
        _log = log;
        Look();
    }

    public static AccessTokens Open(string path, TimeProvider time, ILogger log) => new(Path.GetFullPath(path), time, log);

    /// <summary>Whose token <paramref name="secret"/> is, or null; the first one's, where it stands in two lines, once as its digest. The time that it takes tells nothing about tokens.</summary>
    public AccessToken? Find(string secret)
    {
        LookAgain();
        byte[] digest = AccessToken.DigestOf(secret);
        AccessToken? found = null;
        foreach (var token in _tokens)
        {
            bool isHis = CryptographicOperations.FixedTimeEquals(digest, token.Digest);
            found = isHis ? found ?? token : found;
        }

        return found;
    }

    private void LookAgain()
    {
        // Who comes while another one looks takes what there is.
        if (_time.GetElapsedTime(Volatile.Read(ref _lookedAt)) < s_freshness || !_gate.TryEnter())
            return;

        try
        {
            Look();
        }
        finally
        {
            _gate.Exit();
        }
    }

    private void Look()
    {
        Volatile.Write(ref _lookedAt, _time.GetTimestamp());
        try
        {
            byte[] content = TokenFile.ReadBytes(_path);
            bool isNew = _content is null || !content.AsSpan().SequenceEqual(_content);
            if (!isNew && _problem is null)
                return;
            bool isFirst = _content is null && _problem is null;
            var tokens = isNew ? TokenFile.Parse(_path, content) : _tokens;
            (_tokens, _content, _problem) = (tokens, content, null);
            if (!isFirst)
                CollectorLog.TokensRead(_log, _path, tokens.Count);
            WarnOfReaders();
        }
        catch (TokenFileException e)
        {
            if (e.Message != _problem)
                CollectorLog.TokensKept(_log, e.Message, _tokens.Count);
            _problem = e.Message;
        }
    }

    private void WarnOfReaders()
    {
        const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;
        try
        {
            if (!OperatingSystem.IsWindows() && File.GetUnixFileMode(_path) is var mode && (mode & Others) != 0)
                CollectorLog.AccessOfOthers(_log, $"token file {_path} has mode {Convert.ToString((int)mode, 8).PadLeft(4, '0')}: other users can read or change the tokens; run: chmod o-rwx,g-w '{_path}'");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It could be read a moment ago; the next look tells.
        }
    }
}
