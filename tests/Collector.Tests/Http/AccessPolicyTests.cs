using System.Text;
using Microsoft.Extensions.Primitives;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Tests.Http;

public sealed class AccessPolicyTests
{
    private const string Token = "0123456789abcdef0123456789abcdef";

    [Fact]
    public void A_role_includes_those_before_it()
    {
        foreach (var role in Enum.GetValues<AccessRole>())
        {
            foreach (var needed in Enum.GetValues<AccessRole>())
            {
                var denial = AccessPolicy.Judge(needed, changes: false, hasTokens: true, CredentialKind.Bearer, AccessToken.OfSecret("ann", role, Token), isForeign: false);
                Assert.Equal(role >= needed ? null : DeniedReason.SmallRole, denial?.Reason);
                Assert.Equal(role >= needed ? null : 403, denial?.Status);
            }
        }
    }

    [Fact]
    public void What_is_open_is_open_to_whoever_shows_what()
    {
        foreach (var shown in Enum.GetValues<CredentialKind>())
        {
            Assert.Null(AccessPolicy.Judge(needed: null, changes: false, hasTokens: true, shown, token: null, isForeign: true));
            Assert.Null(AccessPolicy.Judge(needed: null, changes: false, hasTokens: false, shown, token: null, isForeign: false));
        }
    }

    [Theory]
    [InlineData("view", false, CredentialKind.None, null)]
    [InlineData("download", false, CredentialKind.None, DeniedReason.NoTokens)]
    [InlineData("admin", true, CredentialKind.Bearer, DeniedReason.NoTokens)]
    public void Without_tokens_everybody_only_looks(string needed, bool changes, object shown, DeniedReason? reason) =>
        Assert.Equal(reason, AccessPolicy.Judge(Role(needed), changes, hasTokens: false, (CredentialKind)shown, token: null, isForeign: false)?.Reason);

    [Theory]
    [InlineData(CredentialKind.None, DeniedReason.MissingToken)]
    [InlineData(CredentialKind.Bearer, DeniedReason.WrongToken)]
    [InlineData(CredentialKind.Basic, DeniedReason.WrongToken)]
    [InlineData(CredentialKind.Unusable, DeniedReason.WrongToken)]
    public void Who_is_nobody_is_asked_who_he_is(object shown, DeniedReason reason)
    {
        var denial = AccessPolicy.Judge(AccessRole.View, changes: false, hasTokens: true, (CredentialKind)shown, token: null, isForeign: false);

        Assert.Equal((reason, 401), (denial!.Reason, denial.Status));
    }

    [Theory]
    [InlineData(false, CredentialKind.Basic, false, null)]
    [InlineData(false, CredentialKind.Basic, true, null)]
    [InlineData(true, CredentialKind.Bearer, false, null)]
    [InlineData(true, CredentialKind.Basic, false, DeniedReason.BasicForChange)]
    [InlineData(true, CredentialKind.Bearer, true, DeniedReason.ForeignOrigin)]
    public void What_browsers_send_by_themselves_changes_nothing(bool changes, object shown, bool isForeign, DeniedReason? reason) =>
        Assert.Equal(reason, AccessPolicy.Judge(AccessRole.Admin, changes, hasTokens: true, (CredentialKind)shown, AccessToken.OfSecret("ann", AccessRole.Admin, Token), isForeign)?.Reason);

    [Theory]
    [InlineData("Bearer abc", "Bearer", "abc")]
    [InlineData("bearer abc", "Bearer", "abc")]
    [InlineData("Bearer", "Unusable", "")]
    [InlineData("Bearer ", "Unusable", "")]
    [InlineData("", "Unusable", "")]
    [InlineData("Digest abc", "Unusable", "")]
    [InlineData("Basic !!!", "Unusable", "")]
    public void Reads_how_a_token_is_shown(string header, string kind, string secret) => Assert.Equal((kind, secret), Shown(header));

    [Theory]
    [InlineData("user:secret", "Basic", "secret")]
    [InlineData(":secret", "Basic", "secret")]
    [InlineData("user:se:cret", "Basic", "se:cret")]
    [InlineData("user:", "Unusable", "")]
    [InlineData("user", "Unusable", "")]
    public void Of_name_and_password_the_password_is_the_token(string pair, string kind, string secret) =>
        Assert.Equal((kind, secret), Shown($"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes(pair))}"));

    [Fact]
    public void Several_headers_are_none_and_no_header_is_nothing()
    {
        Assert.Equal(CredentialKind.Unusable, Credentials.Of(new StringValues(["Bearer a", "Bearer b"])).Kind);
        Assert.Equal(CredentialKind.None, Credentials.Of(StringValues.Empty).Kind);
        Assert.Equal("Bearer", Credentials.Of("Bearer abc").ToString());
    }

    private static (string Kind, string Secret) Shown(string header) => Credentials.Of(header) is var shown ? (shown.Kind.ToString(), shown.Secret) : default;

    private static AccessRole Role(string name) => Enum.Parse<AccessRole>(name, ignoreCase: true);
}
