using NetdumpCollector.Storage.Fleet;
using Npgsql;

namespace NetdumpCollector.Storage.Tests.Fleet;

public sealed class FleetConnectionsTests
{
    [Theory]
    [InlineData("", GssEncryptionMode.Disable)]
    [InlineData(";GSS Encryption Mode=Prefer", GssEncryptionMode.Prefer)]
    [InlineData(";gssencryptionmode=Require", GssEncryptionMode.Require)]
    public async Task Kerberos_is_not_tried_unless_it_is_wanted(string wanted, GssEncryptionMode expected)
    {
        Assert.True(ClusterAddress.TryParse($"Host=db;Database=netdump{wanted}", out var address));

        await using var source = FleetConnections.Source(address, "test", isPooled: false);

        Assert.Equal(expected, new NpgsqlConnectionStringBuilder(source.ConnectionString).GssEncryptionMode);
    }
}
