using System.Text;
using NetdumpCollector.Collector.Http.Access;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The token file, and what requests show for a token.</summary>
internal sealed class TokensTarget : FuzzTarget
{
    private const string Token = "0123456789abcdef0123456789abcdef";
    private const string Digest = "sha256:3973e022e93220f9212c18d0d0c543ae7c309e46640da93a4a0314de999f5112";

    public override string Name => "tokens";

    public override int TestInputs => 20_000;

    public override IReadOnlyList<byte[]> Words { get; } =
        [.. ((string[])["view", "download", "admin", "sha256:", Token, Digest, "#", "\n", "\r\n", "\t", "\u2028", "Bearer ", "Basic ", "YTpi", "Basic YTpi", "a\0b"]).Select(Encoding.UTF8.GetBytes)];

    // A line of few bytes becomes a token, two entries and their digests.
    public override long MostAllocatedBytes(int inputBytes) => (64 << 10) + (512 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() =>
    [
        Encoding.UTF8.GetBytes($"# people\nann view {Token}\nbob admin {Digest}\n"),
        Encoding.UTF8.GetBytes("Bearer abc"),
        Encoding.UTF8.GetBytes("Basic YW5uOnNlY3JldA=="),
    ];

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        string text = Encoding.UTF8.GetString(input);
        run.Enter();
        var shown = Credentials.Of(text);
        run.Leave();
        run.Saw(0, (int)shown.Kind, shown.Secret.Length > 0 ? 1 : 0);
        Check(shown.Secret.Length > 0 == shown.Kind is CredentialKind.Bearer or CredentialKind.Basic, "who shows something shows how");
        try
        {
            run.Enter();
            var tokens = TokenFile.Parse("tokens", input);
            run.Leave();
            run.Saw(1, FuzzRun.Bucket(tokens.Count), (int)tokens[0].Role, tokens[0].Secret is null ? 1 : 0);
            Check(tokens.All(token => token.Secret is null or { Length: >= TokenFile.MinSecretChars }), "no token is short");
            Check(tokens.DistinctBy(token => token.Name).Count() == tokens.Count && tokens.All(token => token.Digest.Length == AccessToken.DigestBytes), "each name is there once, and has a token");
        }
        catch (TokenFileException e)
        {
            run.Leave();
            run.Saw(2, e.Message);
            Check(!e.Message.Contains(Token, StringComparison.Ordinal) && !e.Message.Contains(Digest, StringComparison.Ordinal), "no message has a token");
        }
    }
}
