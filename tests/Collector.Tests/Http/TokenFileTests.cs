using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using NetdumpCollector.Collector.Http.Access;

namespace NetdumpCollector.Collector.Tests.Http;

public sealed class TokenFileTests
{
    private const string Token = "0123456789abcdef0123456789abcdef";
    private const string Other = "fedcba9876543210fedcba9876543210";

    [Fact]
    public void Reads_names_roles_and_tokens_and_leaves_comments_out()
    {
        var tokens = Parse($"# people\n\n  ann@web-1  view\t{Token}\r\nbob admin sha256:{DigestOf(Other).ToUpperInvariant()}\n");

        Assert.Equal([("ann@web-1", AccessRole.View, Token), ("bob", AccessRole.Admin, null)], tokens.Select(token => (token.Name, token.Role, token.Secret)));
        Assert.Equal([DigestOf(Token), DigestOf(Other)], tokens.Select(token => Convert.ToHexStringLower(token.Digest)));
    }

    [Theory]
    [InlineData("", "holds no token", "openssl rand -hex 32")]
    [InlineData("# only this\n", "holds no token", "openssl rand -hex 32")]
    [InlineData("ann view", "line 1: has 2 words", "NAME ROLE TOKEN")]
    [InlineData("\nann view " + Token + " more", "line 2: has 4 words", "NAME ROLE TOKEN")]
    [InlineData("ann View " + Token, "line 1: the role is none", "view, download and admin")]
    [InlineData("ann root " + Token, "line 1: the role is none", "view, download and admin")]
    [InlineData("a/b view " + Token, "line 1: the name is not usable", "A-Z")]
    [InlineData("ann view 0123456789abcdef0123456789abcde", "line 1: the token has 31 characters", "at least 32")]
    [InlineData("ann view 0123456789abcdef0123456789abcde:", "line 1: the token has characters", "openssl")]
    [InlineData("ann view sha256:0123", "line 1: the digest is not 64 hexadecimal digits", "sha256sum")]
    [InlineData("ann view " + Token + "\nann admin " + Other, "line 2: the name stands in line 1", "name of its own")]
    [InlineData("ann view " + Token + "\nbob admin " + Token, "line 2: the token stands in line 1", "token of his own")]
    public void Says_which_line_cannot_be_used_and_what_to_do(string text, string reason, string advice)
    {
        var problem = Assert.Throws<TokenFileException>(() => Parse(text));

        Assert.StartsWith("token file tokens", problem.Message, StringComparison.Ordinal);
        Assert.Contains(reason, problem.Message, StringComparison.Ordinal);
        Assert.Contains(advice, problem.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("0123", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_digest_in_other_letters_is_the_same_digest()
    {
        var problem = Assert.Throws<TokenFileException>(() => Parse($"ann view sha256:{DigestOf(Token)}\nbob admin sha256:{DigestOf(Token).ToUpperInvariant()}\n"));

        Assert.Contains("line 2: the token stands in line 1", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_a_token_and_its_digest_the_first_counts()
    {
        using var temp = new TempDirectory();
        var tokens = AccessTokens.Open(temp.Write("tokens", $"ann view {Token}\nbob admin sha256:{DigestOf(Token)}\n"), TimeProvider.System, NullLogger.Instance);

        Assert.Equal("ann", tokens.Find(Token)?.Name);
    }

    [Fact]
    public void What_is_no_text_is_no_token_file() => Assert.Contains("is no UTF-8 text", Assert.Throws<TokenFileException>(() => TokenFile.Parse("tokens", [0xff, 0xfe])).Message, StringComparison.Ordinal);

    [Fact]
    public void A_file_that_is_too_long_or_a_directory_is_refused()
    {
        using var temp = new TempDirectory();
        File.WriteAllBytes(temp.File("long"), new byte[TokenFile.MaxBytes + 1]);

        Assert.Contains("has more than 65536 bytes", Assert.Throws<TokenFileException>(() => TokenFile.Read(temp.File("long"))).Message, StringComparison.Ordinal);
        Assert.Throws<TokenFileException>(() => TokenFile.Read(temp.Path));
    }

    [Fact]
    public void Finds_whose_a_token_is()
    {
        using var temp = new TempDirectory();
        var tokens = AccessTokens.Open(temp.Write("tokens", $"ann view {Token}\nbob admin sha256:{DigestOf(Other)}\n"), TimeProvider.System, NullLogger.Instance);

        Assert.Equal("ann", tokens.Find(Token)?.Name);
        Assert.Equal("bob", tokens.Find(Other)?.Name);
        Assert.Null(tokens.Find(Token[1..]));
        Assert.Null(tokens.Find(DigestOf(Other)));
        Assert.Null(tokens.Find(""));
    }

    [Fact]
    public void A_token_does_not_show_its_secret() => Assert.Equal("ann (view)", AccessToken.OfSecret("ann", AccessRole.View, Token).ToString());

    private static IReadOnlyList<AccessToken> Parse(string text) => TokenFile.Parse("tokens", Encoding.UTF8.GetBytes(text));

    private static string DigestOf(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
